"""The distribution of scenes: every number from which the renderer paints.

Scene i of seed s is a pure function of (s, i). Lengths are fractions of the image's side, x to the
right and y down. ``correlation`` is the one parameter between a realistic world, in which
attributes are correlated (1), and one in which all attributes and choices are independent (0).

Attributes, all continuous and visible in the image:

- ``lighting``    0 night · 0.4 dusk · 0.6 and more day; uniform.
- ``cloudiness``  0 clear · 1 three large clouds under a grey sky; uniform.
- ``season``      0 green summer · 0.5 autumn · 1 winter; uniform.
- ``view``        pan from -1 to 1: near things move more than far ones; uniform.
- ``vegetation``  number of trees, 0 to 5; round(5u).
- ``house size``  width of the house, 0.38 to 0.69 of the image; 0 in the tenth that has none.
- ``fog``         0 none · 1 only near things stand out; 0.85u³.

The u's are uniform marginals of a Gaussian copula with the correlations ``_COUPLING`` ×
``correlation``. Choices (sun or moon, lit windows, ground) follow the attributes with the
probability ``correlation``, and are drawn independently otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from dissect.errors import ConfigError
from dissect.latents import stream
from segmenters.scenes_vocabulary import ATTRIBUTES

N_CLOUDS, N_TREES, N_WAVES, N_WINDOWS = 3, 5, 4, 2
GROUNDS = ("grass", "sand", "snow")
WALLS = ("brick", "wood", "stone")

# Shift of things by a pan, by their nearness, as a fraction of the image per unit of view.
PAN = {"sky": 0.02, "mountain": 0.06, "water": 0.10, "far": 0.14, "house": 0.18, "near": 0.26}

# Correlations of the copula, between attributes by name.
_COUPLING = (
    ("lighting", "cloudiness", -0.35),
    ("lighting", "fog", -0.25),
    ("cloudiness", "fog", 0.45),
    ("cloudiness", "season", 0.30),
    ("season", "fog", 0.25),
    ("vegetation", "house size", -0.45),
)
_N_UNIFORM = 96  # more than used, so that a new choice does not change old ones


@dataclass(frozen=True)
class SceneParameters:
    """All parameters of a batch of scenes; float32, the first dimension is the batch.

    Use :meth:`edited` to change one attribute of a scene and keep everything else.

    Example:
        >>> len(draw_scenes([0, 1], seed=0))
        2
    """

    lighting: np.ndarray
    cloudiness: np.ndarray
    season: np.ndarray
    view: np.ndarray
    vegetation: np.ndarray
    house_size: np.ndarray
    fog: np.ndarray
    horizon: np.ndarray
    celestial: np.ndarray  # x, y, radius, is moon
    clouds: np.ndarray  # cloud × (x, y, width, roundness)
    ridge: np.ndarray  # height, roughness, then the phases of its waves
    ground: np.ndarray  # index into GROUNDS, phase of its border, tone
    water: np.ndarray  # present, x, half width, depth
    road: np.ndarray  # present, x of its foot, half width
    house: np.ndarray  # x, base y, wall height, roof height, roof top fraction
    facade: np.ndarray  # index into WALLS, tone, roof hue, door slot, door hue, chimney side
    lit: np.ndarray  # window
    trees: np.ndarray  # tree × (x, base y, height, is conifer, tone)
    fence: np.ndarray  # present, from x, to x, is white
    lamp: np.ndarray  # present, x, base y, height

    def __len__(self) -> int:
        return self.lighting.shape[0]

    def __getitem__(self, rows: slice) -> "SceneParameters":
        """Some of the scenes, by slice; the batch dimension stays."""
        return SceneParameters(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def attributes(self) -> Float[np.ndarray, "batch attribute"]:
        """The named attributes, in the order of ``ATTRIBUTES``."""
        return np.stack([getattr(self, name.replace(" ", "_")) for name in ATTRIBUTES], axis=1)

    def edited(self, attribute: str, value: float) -> "SceneParameters":
        """The same scenes with one attribute changed, and nothing else.

        Raises:
            ConfigError: an attribute that scenes do not have.
        """
        if attribute not in ATTRIBUTES:
            raise ConfigError(
                f"attribute {attribute!r} is not one of a scene's; expected {', '.join(ATTRIBUTES)}"
            )
        return replace(self, **{attribute.replace(" ", "_"): np.full_like(self.lighting, value)})


def draw_scenes(indices: Sequence[int], *, seed: int, correlation: float = 1.0) -> SceneParameters:
    """Draw the parameters of scenes, each from its own stream.

    Args:
        indices: Indices of the scenes.
        seed: 0 ≤ seed < 2⁶⁴.
        correlation: From 0 (everything independent) to 1 (realistic).

    Raises:
        ConfigError: a correlation outside [0, 1].

    Example:
        >>> draw_scenes([4, 9], seed=0)[1:].view == draw_scenes([9], seed=0).view
        array([ True])
    """
    if not 0.0 <= correlation <= 1.0:
        raise ConfigError(f"correlation is {correlation}; expected a number from 0 to 1")
    n_attributes = len(ATTRIBUTES)
    normal = np.zeros((len(indices), n_attributes))
    u = np.zeros((len(indices), _N_UNIFORM))
    for row, index in enumerate(indices):
        numbers = stream(seed, int(index))
        normal[row] = numbers.standard_normal(n_attributes)
        u[row] = numbers.random(_N_UNIFORM)
    mixed = np.zeros_like(normal)
    factor = _cholesky(correlation)
    for column in range(n_attributes):  # not a matrix product: BLAS would depend on the batch
        mixed += normal[:, column : column + 1] * factor[:, column]
    return _arrange(ndtr(mixed), u, correlation)


def _cholesky(correlation: float) -> Float[np.ndarray, "attribute attribute"]:
    matrix = np.eye(len(ATTRIBUTES))
    for first, second, value in _COUPLING:
        i, j = ATTRIBUTES.index(first), ATTRIBUTES.index(second)
        matrix[i, j] = matrix[j, i] = value * correlation
    return np.linalg.cholesky(matrix)


def _arrange(attribute: np.ndarray, u: np.ndarray, correlation: float) -> SceneParameters:
    """Convert uniform numbers to scenes. ``take(n)`` returns the next n columns, in this order."""
    used = 0

    def take(n: int = 1) -> np.ndarray:
        nonlocal used
        used += n
        return u[:, used - 1] if n == 1 else u[:, used - n : used]

    def between(low: float | np.ndarray, high: float, value: np.ndarray) -> np.ndarray:
        return low + (high - low) * value

    def choose(coupled: np.ndarray, independent: np.ndarray) -> np.ndarray:
        return np.where(take() < correlation, coupled, independent)

    lighting, cloudiness, season, pan, vegetation, size, fog = attribute.T
    view = 2 * pan - 1
    has_house = take() < 0.9
    house_size = np.where(has_house, between(0.38, 0.69, size), 0.0)
    horizon = between(0.50, 0.62, take())

    is_moon = choose(lighting < 0.3, take() < 0.3)
    height = choose(np.clip(lighting * 1.3, 0, 1), take())
    sun_y = np.where(is_moon, between(0.10, 0.26, take()), between(horizon - 0.10, 0.12, height))
    sun_x, radius = between(0.1, 0.9, take()), between(0.07, 0.10, take())
    celestial = np.stack([sun_x, sun_y, radius, is_moon], 1)

    place, shape = take(N_CLOUDS), take(N_CLOUDS)
    clouds = np.stack(
        [
            (np.arange(N_CLOUDS) + place) / N_CLOUDS,
            between(0.10, 0.32, take(N_CLOUDS)),
            between(0.26, 0.42, shape) * (0.8 + 0.4 * cloudiness[:, None]),
            take(N_CLOUDS),
        ],
        2,
    )
    ridge = np.stack([between(0.04, 0.30, take()), between(0.3, 1.0, take()), *take(N_WAVES).T], 1)

    is_sand = take() < 0.18
    in_life = np.where(season > 0.7, 2, np.where(is_sand, 1, 0))
    by_chance = take()
    anything = np.where(by_chance < 0.3, 2, np.where(by_chance < 0.46, 1, 0))
    ground = np.stack([choose(in_life, anything), take(), take()], 1)

    water = np.stack(
        [take() < 0.35, take(), between(0.35, 0.6, take()), between(0.09, 0.15, take())], 1
    )
    road = np.stack([take() < 0.5, between(0.25, 0.75, take()), between(0.13, 0.19, take())], 1)

    base = between(0.76, 0.86, take())
    house = np.stack(
        [
            between(0.44, 0.56, take()),
            base,
            between(0.23, 0.30, take()),
            between(0.14, 0.22, take()),
            np.where(take() < 0.5, 0.0, between(0.35, 0.6, take())),
        ],
        1,
    )
    facade = np.stack(
        [np.floor(3 * take()), take(), take(), np.floor(3 * take()), take(), take()], 1
    )
    lit = choose(
        ((lighting < 0.38)[:, None] & (take(N_WINDOWS) < 0.85)).T, (take(N_WINDOWS) < 0.35).T
    ).T

    # Trees 0-2 stand behind the house, 3 and 4 before it and to the sides.
    jitter = take(N_TREES)
    spread = np.array([0.10, 0.90, 0.50, 0.06, 0.94]) + np.array([0.2, 0.2, 0.3, 0.1, 0.1]) * (
        jitter - 0.5
    )
    near = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    foot = (base[:, None] - 0.05) + near * between(0.10, 0.16, take(N_TREES))
    trees = np.stack(
        [
            spread,
            foot,
            between(0.40, 0.52, take(N_TREES)) + 0.1 * near,
            take(N_TREES) < 0.4,
            take(N_TREES),
        ],
        2,
    )
    side = take() < 0.5
    reach = between(0.45, 0.75, take())
    fence = np.stack(
        [take() < 0.3, np.where(side, -0.6, 1 - reach), np.where(side, reach, 1.6), take() < 0.6], 1
    )
    lamp = np.stack(
        [
            take() < 0.3,
            np.where(take() < 0.5, between(0.08, 0.26, take()), between(0.74, 0.92, take())),
            between(0.88, 0.94, take()),
            between(0.42, 0.52, take()),
        ],
        1,
    )
    arrays = (
        lighting, cloudiness, season, view, np.round(5 * vegetation), house_size, 0.85 * fog**3,
        horizon, celestial, clouds, ridge, ground, water, road, house, facade, lit, trees, fence,
        lamp,
    )  # fmt: skip
    return SceneParameters(*(np.asarray(a, dtype=np.float32) for a in arrays))
