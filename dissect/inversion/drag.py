"""Dragging: points of an image are moved to where one wants them, as the generator can draw it.

Of a layer's map F, enlarged to the image, two steps take turns until every point has arrived:

    motion     the latent takes a step of Adam down
               Σᵢ mean over q near pᵢ of |stop(F(q)) − F(q + dᵢ)|  +  λ mean |(F − F₀)(1 − M)|
    tracking   pᵢ = argmin over q near pᵢ of |F(q) − fᵢ|

dᵢ is the unit vector from pᵢ to its target, fᵢ the feature at its first place, F₀ the first map, M
the part of the image that may change (everywhere, unless a mask is given). Near means within a
radius of 3 pixels (motion) and 12 pixels (tracking) in an image of 512, but at least 1 and 2: in
one of 64 pixels the first would be 0 and no pixel would be near.

References:
    Pan et al., Drag Your GAN, SIGGRAPH 2023, section 3 (equations 1 and 2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.edits.regions import Region, pool
from dissect.errors import ConfigError, LayerError
from dissect.generators.base import Generator, check_editable
from dissect.inversion.settings import DragSettings
from dissect.latents import Latent
from dissect.progress import ProgressBar
from dissect.tracing import trace

_MOTION, _TRACKING, _AT = 3, 12, 512  # radii, in an image of that size
_ARRIVED = 1.0  # pixels from the target at which a point has arrived
Point = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Dragged:
    """What a drag came to.

    Args:
        latent: Where it ended; the nearest to the targets that was seen.
        paths: For each point its places, (row, column) in pixels, the first one included.
        distances: From each point's last place to its target, in pixels.
        n_steps: Steps that were taken.
    """

    latent: Latent
    paths: tuple[tuple[Point, ...], ...]
    distances: tuple[float, ...]
    n_steps: int


def default_layer(generator: Generator) -> str:
    """The last layer whose map is a quarter of the image, or the nearest to that.

    Raises:
        LayerError: a generator without layers.
    """
    layers = {
        name: info for name, info in generator.layers.items() if info.units > generator.channels
    }
    if not layers:
        raise LayerError(f"{generator.name} has no layer with features; expected one to follow")
    wanted = generator.image_size / 4
    nearest = min(abs(np.log(info.height / wanted)) for info in layers.values())
    return [n for n, i in layers.items() if abs(np.log(i.height / wanted)) == nearest][-1]


def drag(
    generator: Generator,
    latent: Latent,
    points: Sequence[Point],
    targets: Sequence[Point],
    settings: DragSettings | None = None,
    *,
    mask: Region | None = None,
    progress: bool = False,
    watch: Callable[[int, Float[Tensor, "1 c h w"]], None] | None = None,
) -> Dragged:
    """Move points of one image, see the head of this module.

    Args:
        generator: Whose image it is.
        latent: Of one image, in any space; in w+ the first ``layers`` of it are moved.
        points, targets: (row, column) in pixels of the image, as many of one as of the other.
        settings: Layer, steps, rate, layers of w+ and the weight of what is outside the mask.
        mask: 1 where the image may change; None: everywhere.
        progress: Show a bar.
        watch: Called after each step with its number and the image.

    Raises:
        ConfigError: points beyond the image, or another number of targets; more than one image.
        LayerError: a layer that the generator lacks.
        GeneratorError: a generator without gradients.
    """
    settings = settings or DragSettings()
    check_editable(generator)
    size = generator.image_size
    _check(latent, points, targets, size)
    layer = settings.layer or default_layer(generator)
    motion, tracking = (max(least, r * size / _AT) for r, least in ((_MOTION, 1), (_TRACKING, 2)))
    start = latent.data.to(generator.device).detach()
    values = start.clone().requires_grad_()
    moved = torch.ones_like(start)
    if latent.space == "w+":
        moved[:, settings.layers :] = 0
    adam = torch.optim.Adam([values], lr=settings.rate)
    outside = _outside(mask, size, generator.device)

    def features(data: Tensor) -> tuple[Tensor, Tensor]:
        with trace(generator, [layer]) as maps:
            image = generator.synthesize(replace(latent, data=data))
            found = maps[layer]
        return image, functional.interpolate(
            found, size=(size, size), mode="bilinear", align_corners=False
        )

    with torch.no_grad():
        _, first = features(start)
    places = [np.array(p, dtype=np.float64) for p in points]
    goals = [np.array(t, dtype=np.float64) for t in targets]
    kept = [_read(first, place[None])[0] for place in places]
    paths = [[(float(p[0]), float(p[1]))] for p in places]
    best, best_distance = start, _mean_distance(places, goals)
    steps = ProgressBar(
        range(settings.n_steps), desc="drag", unit="step", disable=None if progress else True
    )
    done = 0
    for done in steps:
        if max(_distances(places, goals)) <= _ARRIVED:
            break
        with torch.enable_grad():
            data = torch.where(moved > 0, values, start)
            image, found = features(data)
            loss = _motion(found, places, goals, motion)
            if outside is not None:
                loss = loss + settings.outside * ((found - first).abs() * outside).mean()
            adam.zero_grad(set_to_none=True)
            loss.backward()
        adam.step()
        with torch.no_grad():
            data = torch.where(moved > 0, values, start)
            image, found = features(data)
        places = [
            _track(found, place, feature, tracking)
            for place, feature in zip(places, kept, strict=True)
        ]
        for path, place in zip(paths, places, strict=True):
            path.append((float(place[0]), float(place[1])))
        if watch is not None:
            watch(done + 1, image)
        if _mean_distance(places, goals) < best_distance:
            best, best_distance = data.detach().clone(), _mean_distance(places, goals)
    else:
        done = settings.n_steps
    return Dragged(
        latent=replace(latent, data=best),
        paths=tuple(tuple(path) for path in paths),
        distances=tuple(_distances(places, goals)),
        n_steps=done,
    )


def _check(latent: Latent, points: Sequence[Point], targets: Sequence[Point], size: int) -> None:
    if len(latent) != 1:
        raise ConfigError(f"the latent holds {len(latent)} images; expected one to drag")
    if not points or len(points) != len(targets):
        raise ConfigError(
            f"{len(points)} points and {len(targets)} targets were given; expected as many of "
            "each, at least one"
        )
    for name, one in [("point", p) for p in points] + [("target", t) for t in targets]:
        if len(one) != 2 or not all(0 <= v <= size - 1 for v in one):
            raise ConfigError(
                f"{name} {tuple(one)} is not in the image; expected row and column from 0 to "
                f"{size - 1}"
            )


def _outside(mask: Region | None, size: int, device: torch.device) -> Tensor | None:
    if mask is None:
        return None
    return 1 - torch.from_numpy(np.array(pool(mask, (size, size)))).to(device)


def _distances(places: Sequence[np.ndarray], goals: Sequence[np.ndarray]) -> list[float]:
    return [float(np.hypot(*(goal - place))) for place, goal in zip(places, goals, strict=True)]


def _mean_distance(places: Sequence[np.ndarray], goals: Sequence[np.ndarray]) -> float:
    return sum(_distances(places, goals)) / len(places)


def _read(found: Float[Tensor, "1 c h w"], at: Float[np.ndarray, "place 2"]) -> Tensor:
    """Features at places, bilinear between pixels: place × channel."""
    size = found.shape[-1]
    grid = torch.from_numpy(at[:, ::-1].copy()).to(found) * (2 / (size - 1)) - 1
    read = functional.grid_sample(
        found, grid[None, None], align_corners=True, padding_mode="border"
    )
    return read[0, :, 0].T


def _around(place: np.ndarray, radius: float, size: int) -> Float[np.ndarray, "near 2"]:
    """Places within a radius, on a grid of pixels around this one, inside the image."""
    reach = int(np.floor(radius))
    line = np.arange(-reach, reach + 1)
    steps = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    near = place + steps[np.hypot(*steps.T) <= radius]
    return near[((near >= 0) & (near <= size - 1)).all(axis=1)]


def _motion(
    found: Float[Tensor, "1 c h w"],
    places: Sequence[np.ndarray],
    goals: Sequence[np.ndarray],
    radius: float,
) -> Tensor:
    """What pulls each point that has not arrived one pixel towards its target."""
    loss = found.sum() * 0
    for place, goal in zip(places, goals, strict=True):
        distance = float(np.hypot(*(goal - place)))
        if distance <= _ARRIVED:
            continue
        near = _around(place, radius, found.shape[-1])
        here = _read(found.detach(), near)
        there = _read(found, near + (goal - place) / distance)
        loss = loss + (here - there).abs().mean()
    return loss


def _track(
    found: Float[Tensor, "1 c h w"], place: np.ndarray, feature: Float[Tensor, " c"], radius: float
) -> np.ndarray:
    """Where the feature is now: the nearest within the radius."""
    near = _around(place, radius, found.shape[-1])
    distance = (_read(found, near) - feature).abs().sum(dim=1)
    return near[int(distance.argmin())]
