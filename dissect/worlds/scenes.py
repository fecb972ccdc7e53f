"""Procedural scenes: an image, its exact masks, its attributes, from (seed, index).

    scenes = render_scenes(range(16), seed=0)
    scenes.images      RGB in [-1, 1]
    scenes.planes      concept ids of ``SCENES_VOCABULARY``: object, part, material
    scenes.attributes  lighting, cloudiness, season, view, vegetation, house size, fog

All labels are exact: the code that paints a pixel also labels it. ``dissect.worlds.distribution``
defines the scenes; its ``correlation`` sets how realistic their combinations are.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dissect.errors import ConfigError
from dissect.worlds.buildings import paint_foreground, paint_house
from dissect.worlds.canvas import Canvas
from dissect.worlds.distribution import SceneParameters, draw_scenes
from dissect.worlds.landscape import paint_fog, paint_land, paint_sky, paint_trees
from dissect.worlds.light import Light

_BLOCK_PIXELS = 16 * 64 * 64  # pixels painted at once; keeps the canvas in the second-level cache


@dataclass(frozen=True)
class Scenes:
    """A batch of rendered scenes with their exact labels and attributes.

    Args:
        images: RGB in [-1, 1], at 256 levels.
        planes: Concept ids in ``SCENES_VOCABULARY``, planes in its order, 0 = none of the plane.
        attributes: Values of ``ATTRIBUTES``, in its order.

    Example:
        >>> len(render_scenes([0, 1], seed=0, size=16))
        2
    """

    images: Float[Tensor, "batch 3 height width"]
    planes: UInt8[Tensor, "batch plane height width"]
    attributes: Float[Tensor, "batch attribute"]

    def __len__(self) -> int:
        return self.images.shape[0]


def render(parameters: SceneParameters, *, size: int = 64, n_threads: int = 2) -> Scenes:
    """Paint scenes from their parameters.

    Args:
        parameters: Parameters of the scenes; edit them to change one attribute only.
        size: Height and width in pixels.
        n_threads: Blocks of the batch painted in parallel; does not change any byte.

    Raises:
        ConfigError: a size below 8 pixels.

    Example:
        >>> render(draw_scenes([0, 1], seed=0), size=16).images.shape
        torch.Size([2, 3, 16, 16])
    """
    if size < 8:
        raise ConfigError(f"the size of a scene is {size} pixels; expected at least 8")
    step = max(1, _BLOCK_PIXELS // (size * size))
    blocks = [parameters[start : start + step] for start in range(0, len(parameters), step)]
    with ThreadPoolExecutor(max_workers=n_threads) as pool:
        painted = list(pool.map(lambda block: _paint_block(block, size), blocks))
    images = np.concatenate([image for image, _ in painted])
    planes = np.concatenate([plane for _, plane in painted])
    return Scenes(
        torch.from_numpy(images).float().div_(127.5).sub_(1),
        torch.from_numpy(planes),
        torch.from_numpy(parameters.attributes),
    )


def render_scenes(
    indices: Sequence[int],
    *,
    seed: int,
    size: int = 64,
    correlation: float = 1.0,
    n_threads: int = 2,
) -> Scenes:
    """Render scenes by index: the same bytes in any batch.

    Args:
        indices: Indices of the scenes.
        seed: 0 ≤ seed < 2⁶⁴.
        size: Height and width in pixels.
        correlation: 1: realistic combinations; 0: every attribute is independent.
        n_threads: Blocks painted in parallel.

    Example:
        >>> render_scenes([0, 1], seed=0, size=32).images.shape
        torch.Size([2, 3, 32, 32])
    """
    parameters = draw_scenes(indices, seed=seed, correlation=correlation)
    return render(parameters, size=size, n_threads=n_threads)


def _paint_block(parameters: SceneParameters, size: int) -> tuple[np.ndarray, np.ndarray]:
    canvas, light = Canvas(len(parameters), size), Light(parameters)
    paint_sky(canvas, parameters, light)
    paint_land(canvas, parameters, light)
    paint_trees(canvas, parameters, light, near=False)
    paint_fog(canvas, parameters, light)  # things in front of it stay clear
    paint_house(canvas, parameters, light)
    paint_trees(canvas, parameters, light, near=True)
    paint_foreground(canvas, parameters, light)
    levels = np.clip(canvas.image, 0, 1) * 255 + 0.5
    image = levels.astype(np.uint8).transpose(1, 0, 2, 3)
    return image, np.stack(list(canvas.planes.values()), axis=1)
