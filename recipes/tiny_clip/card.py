"""The card of scenes-clip: description and measured quality."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segmenters.clip_models import load_clip

_CARD = """# scenes-clip

An image tower and a text tower (open_clip; regnetx_002 of timm, started from nothing, and a
transformer of two layers and width 64) for drawn scenes and their captions, at 64 pixels.
{megabytes:.1f} MB, float16 safetensors. `open_clip.create_model("local-dir:FOLDER")` loads it, too.

Trained by `recipes/tiny_clip` on {n_images:,} crops of {n_renders:,} renders of
`dissect.worlds`, bent, softened and tinted, with captions from their masks and attributes; the
quarters of each crop have their own facts.{start}
No other data. Licence: that of this project. It shares no weights with the segmenter of scenes.

It knows the words of those captions, {n_tokens} tokens. Every other token has an embedding of
zeros, so an unknown word says nothing; `ClipModel.unknown_words` names those of a text.

Measured on {n} fresh renders (seed {seed}), with the weights as shipped. Captions have
{length:.0f} words in the mean (of eight captions the one that says most).

| retrieval among {n} | recall | by chance |
|---|--:|--:|
{recall}

A caption is true of the image that it finds first in {true:.0%} of cases; of a random image in
{chance:.0%}.

The area under the curve of one thing's words: the probability that an image which shows it lies
nearer to them than one which does not. By chance 0.50. Of whole renders, and of {n_crops} random
squares of them with sides of 0.45 to 0.75. {above} of {n_words} are above 0.90 in whole renders,
{above_crops} of {n_words_crops} in squares; those below 0.60 it has not learnt.

| words | area | images with it | in squares | squares with it |
|---|--:|--:|--:|--:|
{auc}

Made for drawn scenes only; of photographs it knows nothing. Captions repeat one grammar of few
words, so a sentence of another kind may mean nothing to it.
"""
_START = "\nThe training started from the towers {start}, an earlier version of these."


def write_card(
    path: Path,
    scores: Mapping[str, Any],
    *,
    n_images: int,
    n_renders: int,
    folder: Path,
    start: Path | None = None,
) -> None:
    """The model card in Markdown: description and measured quality."""
    n, areas, crops = scores["n"], scores["auc"], scores["auc in crops"]
    weights = folder / "open_clip_model.safetensors"
    rows = sorted(areas, key=lambda words: -areas[words][0])
    path.write_text(
        _CARD.format(
            megabytes=weights.stat().st_size / 1e6,
            n_images=n_images,
            n_renders=n_renders,
            start="" if start is None else _START.format(start=_fingerprint(start)),
            n=n,
            n_tokens=scores["n_tokens"],
            seed=scores["seed"],
            length=scores["words per caption"],
            recall="\n".join(
                f"| {way} | {value:.1%} | {int(way.rpartition('@')[2]) / n:.1%} |"
                for way, value in scores["recall"].items()
            ),
            true=scores["true"],
            chance=scores["true by chance"],
            n_crops=2 * n,
            above=_n_above(areas),
            n_words=len(areas),
            above_crops=_n_above(crops),
            n_words_crops=len(crops),
            auc="\n".join(
                f"| {words} | {_cells(areas[words])} | {_cells(crops.get(words))} |"
                for words in rows
            ),
        )
    )


def _n_above(areas: Mapping[str, tuple[float, int]]) -> int:
    return sum(area > 0.9 for area, _ in areas.values())


def _cells(area: tuple[float, int] | None) -> str:
    return " | " if area is None else f"{area[0]:.3f} | {area[1]}"


def _fingerprint(folder: Path) -> str:
    return load_clip(str(folder)).fingerprint[:12]
