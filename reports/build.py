"""Builds the report of a run: a folder or one file that opens offline, without the network.

build_report(open_run("runs/a"))                                  # runs/a/report/index.html
build_report(open_run("runs/a"), single_file=True, layers=["b16.conv1"])   # runs/a/report.html
"""

import itertools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dissect.errors import ConfigError, RunError
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.runs.notes import Noted
from dissect.runs.replacing import replace_file, replace_folder
from reports.assets import script_text, style_text
from reports.card import draw_card
from reports.compact import compact_layer, to_script_text
from reports.facts import layer_facts
from reports.findings import labels_of
from reports.noted import FILE, note_data, noted_in
from reports.pages import Contents, concept_data, page_text
from reports.pictures import Pictures

BUDGET = 25_000_000
"""Default limit in bytes for a report in one file."""
_WORTH_TELLING = 50_000
_MARK = "report.css"
_SIGN = '<meta name="generator" content="gan-dissection report">'


def build_report(
    run: Run,
    *,
    out: str | Path | None = None,
    single_file: bool = False,
    layers: Sequence[str] | None = None,
    units: int | None = None,
    budget: int = BUDGET,
    notes: bool = True,
    progress: bool = False,
) -> Path:
    """Write the report of a run.

    Args:
        run: A finished run.
        out: Folder to write, or file with ``single_file``. None: ``report`` or ``report.html`` in
            the run's folder. Replaces an earlier report there completely.
        single_file: Everything in one HTML file.
        layers: Layers to show; all if None.
        units: Number of clearest units per layer with images; all if None. All units keep their
            numbers.
        budget: Largest size of a single file in bytes.
        notes: Include people's notes on units.
        progress: Show a progress bar.

    Returns:
        Path of the page.

    Raises:
        LayerError: a layer that the run did not read.
        RunError: the path has something that is not a report, or a single file exceeds its budget.

    Example:
        >>> from dissect import open_run
        >>> build_report(open_run("runs/demo"), out="page").name
        'index.html'
    """
    if units is not None and units < 0:
        raise ConfigError(f"units is {units}; expected 0 or more")
    contents = Contents.of(run, layers, units)
    if single_file:
        file = Path(out or run.path / "report.html")
        return _build_file(run, contents, file, budget, notes, progress)
    return _build_folder(run, contents, Path(out or run.path / "report"), notes, progress)


def _build_folder(run: Run, contents: Contents, folder: Path, notes: bool, progress: bool) -> Path:
    if folder.exists() and (
        not folder.is_dir() or (any(folder.iterdir()) and not (folder / _MARK).is_file())
    ):
        raise RunError(
            f"{folder} exists and is not a report; expected a new or empty folder; "
            "choose another --out"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    noted = noted_in(run, contents.layers) if notes else Noted()
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        pictures = Pictures(run, contents.shown, scratch)
        (scratch / "data" / "layers").mkdir(parents=True)
        for layer, key in _progress(contents.keys, progress):
            pictures.write(layer)
            data = to_script_text(compact_layer(layer_facts(run, layer)))
            name = to_script_text(f"layer/{key}")
            (scratch / "data" / "layers" / f"{key}.js").write_text(f"report.data({name},{data});\n")
        examples = pictures.examples(run.vocabulary.names)
        concepts = to_script_text(concept_data(run, contents.layers, examples))
        (scratch / "data" / "concepts.js").write_text(f'report.data("concepts",{concepts});\n')
        if noted.notes:
            data = to_script_text(note_data(noted, contents.layers))
            (scratch / "data" / f"{FILE}.js").write_text(f'report.data("{FILE}",{data});\n')
        (scratch / _MARK).write_text(style_text(notes=bool(noted.notes)))
        (scratch / "report.js").write_text(script_text(notes=bool(noted.notes)))
        text = page_text(run, contents, pictures, noted, inline=None)
        (scratch / "index.html").write_text(text, encoding="utf-8")
        (scratch / "card.png").write_bytes(draw_card(run))
        scratch.chmod(0o755)
        replace_folder(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder / "index.html"


def _build_file(
    run: Run, contents: Contents, file: Path, budget: int, notes: bool, progress: bool
) -> Path:
    if file.exists() and not (file.is_file() and _SIGN in file.read_text(errors="replace")[:2000]):
        raise RunError(
            f"{file} exists and is not a report; expected a new file; choose another --out"
        )
    noted = noted_in(run, contents.layers) if notes else Noted()
    pictures = Pictures(run, contents.shown, None)
    inline, sizes = {}, []
    for layer, key in _progress(contents.keys, progress):
        strips = pictures.inside(layer)
        sizes += [sum(len(part or "") for part in strip) for strip in strips if strip]
        inline[f"layer/{key}"] = to_script_text(compact_layer(layer_facts(run, layer), strips))
    # To keep the file small, concepts that label no unit here keep only their numbers.
    examples = pictures.examples(labels_of(run, contents.layers))
    inline["concepts"] = to_script_text(concept_data(run, contents.layers, examples))
    if noted.notes:
        inline[FILE] = to_script_text(note_data(noted, contents.layers))
    masks = sum(len(one.get("picture", "")) + len(one.get("mask", "")) for one in examples if one)
    text = page_text(run, contents, pictures, noted, inline=inline)
    size = len(text.encode())
    if size > budget:
        raise RunError(_over(size, sizes, masks, budget, contents))
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, text.encode())
    return file


def _over(size: int, sizes: list[int], masks: int, budget: int, contents: Contents) -> str:
    """The error message for a file that is too large, with advice."""
    bare = size - sum(sizes)
    over = f"the report in one file takes {_mb(size)}; the budget is {_mb(budget)}"
    if not sizes or bare > budget:
        examples = f", {_mb(masks)} of them example masks" if masks >= _WORTH_TELLING else ""
        return (
            f"{over}, and {_mb(bare)} are no images of units{examples}; choose fewer --layers or "
            "another --budget"
        )
    # The clearest units may have the largest images.
    largest = itertools.accumulate(sorted(sizes, reverse=True))
    fit = sum(taken <= budget - bare for taken in largest)
    each = fit // len(contents.layers)
    return (
        f"{over}: images of about {fit:,} of {len(sizes):,} units fit; choose --layers, or --units "
        f"{each} for the clearest {each} of each layer, or --budget {-(-size // 1_000_000)}MB"
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _progress(keys: dict[str, str], progress: bool) -> ProgressBar:
    return ProgressBar(
        keys.items(), desc="report", unit="layer", disable=None if progress else True, leave=False
    )
