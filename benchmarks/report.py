"""Time to build and to display a report, and its size.

    python -m benchmarks.report [--run RUN] [--samples 2000] [--rounds 5] [--json]

Without a run, one of scenes-stylegan2 over all its layers is made first. ``seconds`` are the
process's own clock for the folder and for one layer in one file. ``first_paint_ms`` is Chromium's
first contentful paint of the folder's page, opened from a file, the median of ``--rounds`` fresh
pages; ``load_ms`` is the end of its load event. None without Chromium.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from dissect import dissect, open_run
from dissect.runs import Run
from reports import build_report

_PAINT = "performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime)"
_LOAD = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def measure(run: Run, rounds: int) -> dict[str, object]:
    """Build both forms and open the folder."""
    layer = max(run.layers, key=lambda name: run.layers[name].units)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        page = build_report(run, out=Path(scratch) / "site")
        folder = time.perf_counter() - started
        started = time.perf_counter()
        single = build_report(run, out=Path(scratch) / "one.html", single_file=True, layers=[layer])
        file = time.perf_counter() - started
        files = [path for path in page.parent.rglob("*") if path.is_file()]
        return {
            "samples": run.config.n_samples,
            "layers": len(run.layers),
            "units": sum(info.units for info in run.layers.values()),
            "seconds": {"folder": round(folder, 2), "one layer in one file": round(file, 2)},
            "megabytes": {
                "folder": round(sum(path.stat().st_size for path in files) / 1e6, 2),
                "page": round(page.stat().st_size / 1e6, 3),
                "one layer in one file": round(single.stat().st_size / 1e6, 2),
            },
            "files": len(files),
            "layer": layer,
            "units_of_layer": run.layers[layer].units,
            **show(page, rounds),
        }


def show(page: Path, rounds: int) -> dict[str, object]:
    """Open a page several times; milliseconds since navigation start, by Chromium's clock."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return {"first_paint_ms": None, "load_ms": None}
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    paints, loads = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for _ in range(rounds):
            view = browser.new_page(viewport={"width": 1440, "height": 900})
            view.goto(page.as_uri())
            view.wait_for_timeout(300)
            paints += view.evaluate(_PAINT)
            loads.append(view.evaluate(_LOAD))
            view.close()
        browser.close()
    return {
        "first_paint_ms": round(statistics.median(paints)) if paints else None,
        "load_ms": round(statistics.median(loads)),
        "first_paints_ms": [round(paint) for paint in paints],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", help="a finished run; default: one is made")
    parser.add_argument("--samples", type=int, default=2000, help="of it; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if options.run is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            run = dissect(
                "scenes-stylegan2", "scenes", out=Path(folder) / "run",
                n_samples=options.samples, coactivation=True, progress=False,
            )  # fmt: skip
        else:
            run = open_run(options.run)
        found = measure(run, options.rounds)
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
