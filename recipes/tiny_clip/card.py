"""The card of scenes-clip: description and measured quality."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CARD = """# scenes-clip

An image tower and a text tower (open_clip; regnetx_002 of timm, started from nothing, and a
transformer of two layers and width 64) for drawn scenes and their captions, at 64 pixels.
{megabytes:.1f} MB, float16 safetensors. `open_clip.create_model("local-dir:FOLDER")` loads it, too.

Trained by `recipes/tiny_clip` on {n_images:,} crops of {n_renders:,} renders of
`dissect.worlds`, bent, softened and tinted, with captions from their masks and attributes. No other
data. Licence: that of this project. It shares no weights with the segmenter of scenes.

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
nearer to them than one which does not. By chance 0.50. {above} of {n_words} are above 0.90; those
below 0.60 it has not learnt.

| words | area | images with it |
|---|--:|--:|
{auc}

Made for drawn scenes only; of photographs it knows nothing. Captions repeat one grammar of few
words, so a sentence of another kind may mean nothing to it.
"""


def write_card(
    path: Path, scores: Mapping[str, Any], *, n_images: int, n_renders: int, folder: Path
) -> None:
    """The model card in Markdown: description and measured quality."""
    n, areas = scores["n"], scores["auc"]
    weights = folder / "open_clip_model.safetensors"
    rows = sorted(areas.items(), key=lambda item: -item[1][0])
    path.write_text(
        _CARD.format(
            megabytes=weights.stat().st_size / 1e6,
            n_images=n_images,
            n_renders=n_renders,
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
            above=sum(area > 0.9 for area, _ in areas.values()),
            n_words=len(areas),
            auc="\n".join(f"| {words} | {area:.3f} | {number} |" for words, (area, number) in rows),
        )
    )
