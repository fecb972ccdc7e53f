"""Measures whether an image shows its caption, with the segmenter and predictor of scenes.

Every fact in a caption has a pattern of words and a test of the image: a concept with
at least 16 of 64 × 64 pixels, or an attribute in a range (the middle of the gaps between the ranges
of ``dissect.worlds.captions``). Each fact has three shares:

    said     of images whose caption states it
    chance   of images whose caption does not: how often it occurs in this world anyway
    renders  of the scenes of the same captions: the upper limit of the readers
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dissect.generators.base import Generator
from dissect.latents import Latent
from dissect.worlds import render_scenes
from dissect.worlds.captions import SEEN, caption_scenes
from segmenters.scenes import SIZE, ScenesPredictor, ScenesSegmenter
from segmenters.scenes_vocabulary import ATTRIBUTES, SCENES_VOCABULARY

TEST_SEED = 43_000
_BATCH = 64
_CONCEPTS = {
    "sun": r"sun", "moon": r"moon", "cloud": r"clouds?", "mountain": r"mountains?",
    "water": r"lake|water|pond", "road": r"road|path", "tree": r"trees?", "house": r"house",
    "fence": r"fence", "lamp": r"lamp", "roof": r"roof", "lit window": r"lit|light",
    "door": r"door", "chimney": r"chimney", "grass": r"grass|meadow", "sand": r"sand|beach",
    "snow": r"on snow|the snow|snow$|snow on", "brick": r"brick", "stone": r"stone",
}  # fmt: skip
_ATTRIBUTES = {
    "night": ("lighting", -9, 0.31, r"night|the dark"),
    "dusk": ("lighting", 0.31, 0.55, r"dusk|evening"),
    "day": ("lighting", 0.55, 9, r"by day|daylight|bright day"),
    "summer": ("season", -9, 0.38, r"summer|green trees?"),
    "autumn": ("season", 0.38, 0.69, r"autumn|orange trees?"),
    "winter": ("season", 0.69, 9, r"winter|snowy|white trees?"),
    "fog": ("fog", 0.3, 9, r"fog|mist"),
    "cloudy sky": ("cloudiness", 0.65, 9, r"cloudy sky|gr[ea]y sky"),
    "clear sky": ("cloudiness", -9, 0.25, r"clear sky|cloudless"),
    "house on the left": ("view", -9, -0.4, r"on the left"),
    "house on the right": ("view", 0.4, 9, r"on the right"),
    "small house": ("house size", 0.2, 0.5, r"small"),
    "large house": ("house size", 0.57, 9, r"large|big"),
}


@dataclass(frozen=True)
class Fact:
    """A statement of captions.

    Attributes:
        name: Name in tables.
        pattern: Pattern of the words that state it.
        test: Whether images show it, from pixels of concepts (batch, concept) and attributes.
    """

    name: str
    pattern: re.Pattern[str]
    test: Callable[[Tensor, Tensor], Bool[Tensor, " batch"]]

    def is_said(self, caption: str) -> bool:
        """Whether a caption states it."""
        return self.pattern.search(caption) is not None


def list_facts() -> list[Fact]:
    """All facts, concepts first."""
    found = []
    for name, words in _CONCEPTS.items():
        row = SCENES_VOCABULARY.names.index(name)

        def seen(pixels: Tensor, values: Tensor, row: int = row) -> Tensor:
            return pixels[:, row] >= SEEN * SIZE * SIZE

        found.append(Fact(name, re.compile(rf"\b(?:{words})\b"), seen))
    for name, (attribute, low, high, words) in _ATTRIBUTES.items():
        column = ATTRIBUTES.index(attribute)

        def inside(
            pixels: Tensor, values: Tensor, column: int = column, low: float = low,
            high: float = high,
        ) -> Tensor:  # fmt: skip
            return (values[:, column] >= low) & (values[:, column] < high)

        found.append(Fact(name, re.compile(rf"\b(?:{words})\b"), inside))
    return found


@torch.no_grad()
def read_facts(
    batches: Iterator[Tensor], facts: Sequence[Fact], device: torch.device | str = "cpu"
) -> Bool[Tensor, "image fact"]:
    """Which facts images show."""
    from segmenters.scenes import load, load_predictor  # noqa: PLC0415

    segmenter: ScenesSegmenter = load(device)
    predictor: ScenesPredictor = load_predictor(device)
    rows = []
    for images in batches:
        seen = images.clamp(-1, 1)
        planes = segmenter.segment(seen)
        pixels = torch.stack(
            [(planes == concept.id).sum(dim=(1, 2, 3)) for concept in SCENES_VOCABULARY], dim=1
        )
        values = predictor.predict(seen)
        rows.append(torch.stack([fact.test(pixels, values) for fact in facts], dim=1))
    return torch.cat(rows)


def own_captions(n: int) -> list[str]:
    """Captions of scenes that no training used."""
    scenes = render_scenes(range(n), seed=TEST_SEED, size=SIZE)
    return caption_scenes(scenes, range(n), seed=TEST_SEED)


@torch.no_grad()
def draw_captions(generator: Generator, n: int) -> Iterator[Float[Tensor, "batch c h w"]]:
    """An image of each of the generator's captions, sample i of caption i."""
    for start in range(0, n, _BATCH):
        indices = range(start, min(start + _BATCH, n))
        latent = generator.sample(indices, seed=0)
        yield generator.synthesize(Latent("z", latent.data, torch.tensor(indices)))


def compare(
    captions: Sequence[str],
    facts: Sequence[Fact],
    drawn: Bool[Tensor, "image fact"],
    rendered: Bool[Tensor, "image fact"],
) -> dict[str, dict[str, float]]:
    """Shares of each fact, see the module docstring, and of all stated facts.

    The last row, ``all``, has the share of statements that are true for their images; its chance
    is the share of the same statements that are true for the image of the next caption.
    """
    said = torch.tensor([[fact.is_said(text) for fact in facts] for text in captions])
    found = {}
    for k, fact in enumerate(facts):
        here = said[:, k]
        if here.any():
            found[fact.name] = {
                "n": int(here.sum()),
                "said": drawn[here, k].float().mean().item(),
                "chance": drawn[~here, k].float().mean().item(),
                "renders": rendered[here, k].float().mean().item(),
            }
    found["all"] = {
        "n": int(said.sum()),
        "said": drawn[said].float().mean().item(),
        "chance": drawn.roll(1, dims=0)[said].float().mean().item(),
        "renders": rendered[said].float().mean().item(),
    }
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """The shares as Markdown."""
    lines = [
        "| fact | captions | said | chance | renders |", "|---|--:|--:|--:|--:|",
    ]  # fmt: skip
    return "\n".join(
        lines
        + [
            f"| {name} | {row['n']} | {row['said']:.2f} | {row['chance']:.2f} | "
            f"{row['renders']:.2f} |"
            for name, row in found.items()
        ]
    )
