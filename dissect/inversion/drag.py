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


class Dragger:
    """A drag of points of one image, step by step; ``drag`` goes through all steps.

    Args:
        generator: Whose image it is.
        latent: Of one image, in any space; in w+ the first ``layers`` of it are moved.
        points, targets: (row, column) in pixels of the image, as many of one as of the other.
        settings: Layer, steps, rate, layers of w+ and the weight of what is outside the mask.
        mask: 1 where the image may change; None: everywhere.

    Raises:
        ConfigError: points beyond the image, or another number of targets; more than one image.
        LayerError: a layer that the generator lacks.
        GeneratorError: a generator without gradients.

    Attributes:
        n_done: Steps that were taken.
        image: The image after the last of them.
    """

    def __init__(
        self,
        generator: Generator,
        latent: Latent,
        points: Sequence[Point],
        targets: Sequence[Point],
        settings: DragSettings | None = None,
        *,
        mask: Region | None = None,
    ) -> None:
        self._settings = settings = settings or DragSettings()
        check_editable(generator)
        size = generator.image_size
        _check(latent, points, targets, size)
        self._generator, self._latent = generator, latent
        self._layer = settings.layer or default_layer(generator)
        self._motion, self._tracking = (
            max(least, r * size / _AT) for r, least in ((_MOTION, 1), (_TRACKING, 2))
        )
        self._start = start = latent.data.to(generator.device).detach()
        self._values = start.clone().requires_grad_()
        self._moved = torch.ones_like(start)
        if latent.space == "w+":
            self._moved[:, settings.layers :] = 0
        self._adam = torch.optim.Adam([self._values], lr=settings.rate)
        self._outside = _outside(mask, size, generator.device)
        with torch.no_grad():
            self.image, self._first = self._features(start)
        self._places = [np.array(p, dtype=np.float64) for p in points]
        self._goals = [np.array(t, dtype=np.float64) for t in targets]
        self._kept = [_read(self._first, place[None])[0] for place in self._places]
        self._paths = [[(float(p[0]), float(p[1]))] for p in self._places]
        self._best, self._best_distance = start, _mean_distance(self._places, self._goals)
        self.n_done = 0

    @property
    def done(self) -> bool:
        """Whether all points have arrived or all steps were taken."""
        arrived = max(_distances(self._places, self._goals)) <= _ARRIVED
        return arrived or self.n_done >= self._settings.n_steps

    def advance(self) -> None:
        """Take one step."""
        places, goals = self._places, self._goals
        with torch.enable_grad():
            data = torch.where(self._moved > 0, self._values, self._start)
            _, found = self._features(data)
            loss = _motion(found, places, goals, self._motion)
            if self._outside is not None:
                changed = ((found - self._first).abs() * self._outside).mean()
                loss = loss + self._settings.outside * changed
            self._adam.zero_grad(set_to_none=True)
            loss.backward()
        self._adam.step()
        with torch.no_grad():
            data = torch.where(self._moved > 0, self._values, self._start)
            self.image, found = self._features(data)
        self._places = [
            _track(found, place, feature, self._tracking)
            for place, feature in zip(places, self._kept, strict=True)
        ]
        for path, place in zip(self._paths, self._places, strict=True):
            path.append((float(place[0]), float(place[1])))
        self.n_done += 1
        distance = _mean_distance(self._places, goals)
        if distance < self._best_distance:
            self._best, self._best_distance = data.detach().clone(), distance

    def found(self) -> Dragged:
        """What it came to so far."""
        return Dragged(
            latent=replace(self._latent, data=self._best),
            paths=tuple(tuple(path) for path in self._paths),
            distances=tuple(_distances(self._places, self._goals)),
            n_steps=self.n_done,
        )

    def _features(self, data: Tensor) -> tuple[Tensor, Tensor]:
        size = self._generator.image_size
        with trace(self._generator, [self._layer]) as maps:
            image = self._generator.synthesize(replace(self._latent, data=data))
            found = maps[self._layer]
        return image, functional.interpolate(
            found, size=(size, size), mode="bilinear", align_corners=False
        )


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
        generator, latent, points, targets, settings, mask: As ``Dragger`` takes them.
        progress: Show a bar.
        watch: Called after each step with its number and the image.

    Raises:
        ConfigError, LayerError, GeneratorError: as ``Dragger``.
    """
    settings = settings or DragSettings()
    dragger = Dragger(generator, latent, points, targets, settings, mask=mask)
    for _ in ProgressBar(
        range(settings.n_steps), desc="drag", unit="step", disable=None if progress else True
    ):
        if dragger.done:
            break
        dragger.advance()
        if watch is not None:
            watch(dragger.n_done, dragger.image)
    return dragger.found()


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
