"""Crops of renders with captions of their contents.

A caption of a whole scene has little information on places. Crops teach it: a roof without its
house, a large window. Captions omit facts that a crop cannot show, such as a house's size in the
scene. Each quarter of an image has its own facts, from the masks inside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.worlds import Caption, Scenes, describe_scenes, render_scenes, scene_facts
from recipes.scenes_segmenter.augment import augment
from segmenters.scenes_vocabulary import ATTRIBUTES

SIZE = 64
"""Input size of the image tower in pixels."""
RENDERED = 96
"""Size in pixels of the renders to crop."""
N_PLACES = 2
"""Rows and columns of places in an image: those of the tower's last layer at ``SIZE``."""
_WHOLE = 0.3  # share of uncropped images
_SMALLEST, _LARGEST = 0.3, 0.9  # sides of crops as fractions of the scene's
# Values of attributes that captions omit: a crop does not show them.
_UNSEEN = {"view": 0.0, "house size": 0.53, "vegetation": 2.0}


@dataclass(frozen=True)
class Batch:
    """Images, a caption of each, all facts of each, and of each of its places, row by row."""

    images: Float[Tensor, "batch 3 size size"]
    captions: list[Caption]
    facts: list[frozenset[str]]
    places: list[frozenset[str]]


def render_once(path: Path, *, n_images: int, seed: int) -> None:
    """Write renders, their planes and attributes to a file, unless it is there."""
    if path.exists():
        return
    images = np.empty((n_images, 3, RENDERED, RENDERED), np.uint8)
    planes = np.empty((n_images, 3, RENDERED, RENDERED), np.uint8)
    attributes = np.empty((n_images, len(ATTRIBUTES)), np.float32)
    for first in range(0, n_images, 64):
        part = range(first, min(first + 64, n_images))
        scenes = render_scenes(part, seed=seed, size=RENDERED, n_threads=1)
        images[first : part.stop] = ((scenes.images + 1) * 127.5).round().byte().numpy()
        planes[first : part.stop] = scenes.planes.numpy()
        attributes[first : part.stop] = scenes.attributes.numpy()
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, images=images, planes=planes, attributes=attributes)
    partial.replace(path)


class Renders:
    """The data of ``render_once``, in memory."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.images, self.planes, self.attributes = (
                torch.from_numpy(file[name]) for name in ("images", "planes", "attributes")
            )

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: Sequence[int], *, seed: int, step: int) -> Batch:
        """Crops of some renders, augmented, each with a caption; the same for the same step."""
        draws = np.random.default_rng([seed, step])
        images: list[Tensor] = []
        captions: list[Caption] = []
        facts: list[frozenset[str]] = []
        places: list[frozenset[str]] = []
        for place, row in enumerate(rows):
            image, planes, values = self.images[row], self.planes[row], self.attributes[row]
            if draws.random() >= _WHOLE:
                side = round(float(draws.uniform(_SMALLEST, _LARGEST)) * RENDERED)
                top, left = (int(draws.integers(RENDERED - side + 1)) for _ in range(2))
                window = (..., slice(top, top + side), slice(left, left + side))
                image, planes = image[window], planes[window]
                values = hide_unseen(values[None])[0]
            image = image[None].float() / 127.5 - 1
            one = Scenes(image, planes[None], values[None])
            captions += describe_scenes(one, [step * len(rows) + place], seed=seed)
            facts += scene_facts(one)
            places += _facts_of_places(one)
            images.append(
                functional.interpolate(
                    image, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False
                )
            )
        whole = torch.cat(images)
        nothing = torch.zeros(len(rows), 1, SIZE, SIZE, dtype=torch.uint8)
        changed, _ = augment(whole, nothing, torch.Generator().manual_seed(seed + step))
        return Batch(changed, captions, facts, places)


def _facts_of_places(scene: Scenes) -> list[frozenset[str]]:
    """Facts of each place of one scene, row by row, without those that a crop cannot show."""
    hidden = hide_unseen(scene.attributes)
    found = []
    for images, planes in zip(_places(scene.images), _places(scene.planes), strict=True):
        found += scene_facts(Scenes(images, planes, hidden))
    return found


def _places(maps: Tensor) -> list[Tensor]:
    """Maps of each place, row by row."""
    rows = maps.tensor_split(N_PLACES, dim=2)
    return [place for row in rows for place in row.tensor_split(N_PLACES, dim=3)]


def hide_unseen(attributes: Float[Tensor, "batch attribute"]) -> Float[Tensor, "batch attribute"]:
    """Attributes with neutral values for those that a crop does not show."""
    hidden = attributes.clone()
    for name, value in _UNSEEN.items():
        hidden[:, ATTRIBUTES.index(name)] = value
    return hidden
