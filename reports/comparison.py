"""Builds the page of a comparison: one file with its pictures inside, without the network."""

import base64
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from dissect.errors import ConfigError
from dissect.runs.compare import Comparison, ConceptRow
from dissect.runs.notes import read_noted
from dissect.runs.replacing import replace_file
from dissect.statistics.registry import rows_of
from reports.charts import ink_on
from reports.templating import template_environment

if TYPE_CHECKING:  # matching units needs torch, and reporting it does not
    from dissect.counting.matching import UnitMatching

MOST_STRIPS = 60
"""Number of strips of top images on a page; each takes about 20 KB."""
MOST_MATCHES = 40
_MARK = '<meta name="generator" content="gan-dissection comparison">'


def build_comparison(
    comparison: Comparison,
    matchings: "Sequence[UnitMatching]" = (),
    *,
    out: str | Path,
    notes: bool = True,
) -> Path:
    """Write the page of a comparison.

    Args:
        comparison: Result of ``compare_runs``.
        matchings: Units of the first run matched with those of other runs, if requested.
        out: File to write; replaces an earlier comparison there.
        notes: Include people's labels of units.

    Raises:
        ConfigError: the path has something else.
    """
    path = Path(out)
    if path.is_dir() or (path.exists() and _MARK not in _head(path)):
        raise ConfigError(
            f"{path} exists and is not a comparison; expected a new file; choose another --out"
        )
    text = _render(comparison, matchings, notes)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode())
    return path


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(2048).decode("utf-8", "replace")


def _render(comparison: Comparison, matchings: "Sequence[UnitMatching]", notes: bool) -> str:
    environment = template_environment()
    environment.filters["two"] = lambda value: "–" if math.isnan(value) else f"{value:.2f}"
    environment.filters["percent"] = lambda value: f"{100 * value:.1f}"
    environment.globals["ink_on"] = ink_on
    read = resources.files("reports").joinpath("static")
    labels = [read_noted(run).labels if notes else {} for run in comparison.runs]
    sheets = ["report.css", "comparison.css", *["notes.css"] * any(labels)]
    style = "\n".join(read.joinpath(name).read_text(encoding="utf-8") for name in sheets)
    pictured = _pictured(comparison)
    return environment.get_template("comparison.html").render(
        c=comparison,
        style=style,
        labels=labels,
        colours={row.name: row.colour for row in comparison.concepts},
        totals=[_totals(comparison, run) for run in range(len(comparison.runs))],
        pictured=pictured,
        named=[row for row in comparison.shared if row.most_units],
        unnamed=[row for row in comparison.shared if not row.most_units],
        strips=[_strips(comparison, row) for row in pictured],
        matchings=[_describe_matching(m) for m in matchings],
        apart=[row for row in comparison.concepts if not row.shared],
    )


def _totals(comparison: Comparison, run: int) -> dict[str, float]:
    findings = comparison.findings(run)
    units, found = (sum(getattr(f, name) for f in findings) for name in ("units", "named"))
    concepts = {name for f in findings for name in f.concepts}
    return {
        "layers": len(findings),
        "units": units,
        "named": found,
        "share": found / units,
        "concepts": len(concepts),
    }


def _pictured(comparison: Comparison) -> list[ConceptRow]:
    """Concepts whose units are shown: those that appeared or vanished, then the most frequent."""
    others = range(1, len(comparison.runs))

    def order(row: ConceptRow) -> tuple[bool, int]:
        moved = any(row.change(run) in ("gained", "lost") for run in others)
        return not moved, -row.most_units

    shown = [row for row in comparison.shared if row.most_units]
    return sorted(shown, key=order)[: MOST_STRIPS // len(comparison.runs)]


def _strips(comparison: Comparison, row: ConceptRow) -> list[str]:
    """The best unit's strip in each run, as a data address."""
    return [
        "data:image/webp;base64,"
        + base64.b64encode(run.strip(cell.best.layer, cell.best.unit)).decode()
        for run, cell in zip(comparison.runs, row.known, strict=True)
    ]


def _describe_matching(matching: "UnitMatching") -> dict[str, object]:
    found, best = matching.matched, matching.best
    both = found[(found.concept != "") & (found.other_concept != "")]
    return {
        "position": matching.position,
        "n_samples": matching.n_samples,
        "n_units": len(best),
        "n_other": matching.n_other,
        "n_matched": len(found),
        "n_both": len(both),
        "n_same": int((both.concept == both.other_concept).sum()),
        "median": float(best.correlation.median()) if len(best) else math.nan,
        "chance": float(best.chance.median()) if len(best) else math.nan,
        "rows": list(rows_of(found.head(MOST_MATCHES))),
    }
