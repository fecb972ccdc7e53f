"""Builds the report of a run: one page, its strips beside it, nothing from a network."""

import math
import shutil
import tempfile
from importlib import resources
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from dissect.errors import RunError
from dissect.runs import Run
from dissect.runs.replacing import replace_folder
from dissect.runs.schema import layer_key
from reports.charts import best_cells, layer_bars

UNITS_PER_CONCEPT = 6
_MARK = "report.css"


def build_report(run: Run, *, out: str | Path | None = None) -> Path:
    """Write the report of a run.

    Args:
        run: A finished run.
        out: Folder to write; ``report`` in the run's own folder if None. An earlier report there is
            replaced as a whole.

    Returns:
        The page, ``index.html``.

    Raises:
        RunError: the folder holds something that is no report.
    """
    folder = Path(out) if out is not None else run.path / "report"
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        raise RunError(
            f"{folder} exists and is not a report; expected a new or empty folder; "
            "choose another --out"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        concepts = _concepts(run)
        (scratch / "strips").mkdir()
        for unit in {(u.layer, u.unit) for concept in concepts for u in concept["units"]}:
            (scratch / strip_path(*unit)).write_bytes(run.strip(*unit))
        style = resources.files("reports").joinpath("static", _MARK).read_text(encoding="utf-8")
        (scratch / _MARK).write_text(style, encoding="utf-8")
        (scratch / "index.html").write_text(_render(run, concepts), encoding="utf-8")
        scratch.chmod(0o755)
        replace_folder(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder / "index.html"


def strip_path(layer: str, unit: int) -> str:
    """Where a unit's strip lies, relative to the page."""
    return f"strips/{layer_key(layer)}-{unit}.webp"


def _concepts(run: Run) -> list[dict[str, object]]:
    """For each concept its share of the image and its best units, strongest first."""
    labelled = run.table[run.table.is_label & run.table.interpretable]
    areas = run.areas()
    return [
        {
            "concept": concept,
            "area": areas[concept.name],
            "nearest": next(run.pairs(concept.name).itertuples()),
            "n_units": int((labelled.concept == concept.name).sum()),
            "units": list(
                labelled[labelled.concept == concept.name]
                .nlargest(UNITS_PER_CONCEPT, "excess_information")
                .itertuples()
            ),
        }
        for concept in run.vocabulary
    ]


def _strongest(table: pd.DataFrame, most: int = 3) -> list[object]:
    """The most certain findings, one for each concept."""
    found = table[table.is_label & table.interpretable]
    ranked = found.sort_values("excess_information", ascending=False, kind="stable")
    return list(ranked.groupby("concept", sort=False).head(1).head(most).itertuples())


def _stable(table: pd.DataFrame) -> float | None:
    """Share of interpretable units that both halves of the evaluation fold label alike."""
    found = table[table.is_label & table.interpretable]
    return float(found.same_in_halves.mean()) if len(found) else None


def _render(run: Run, concepts: list[dict[str, object]]) -> str:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["two"] = lambda value: "–" if math.isnan(value) else f"{value:.2f}"
    environment.globals["strip_path"] = strip_path
    found = [entry for entry in concepts if entry["units"]]
    found.sort(key=lambda entry: -entry["units"][0].excess_information)
    return environment.get_template("report.html").render(
        run=run,
        record=run.record,
        config=run.config,
        summary=run.summary(),
        bars=layer_bars(run),
        cells=best_cells(run),
        areas={entry["concept"].name: entry["area"] for entry in concepts},
        found=found,
        missing=[entry for entry in concepts if not entry["units"]],
        strongest=_strongest(run.table),
        stable=_stable(run.table),
        n_units=sum(info.units for info in run.layers.values()),
    )
