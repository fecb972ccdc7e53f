"""What a run is asked to do: one frozen value, checked when it is made."""

import dataclasses
import math
from dataclasses import dataclass

from dissect.errors import ConfigError
from dissect.statistics.coactivation import MOST_SAMPLES
from dissect.statistics.folds import CLUSTER
from dissect.statistics.scores import THRESHOLDS

NATIVE = "native"
"""The ``grid`` of a run that compares every layer at its own resolution."""
COMPAT = "gandissect"
"""The ``compat`` of a run that counts as the original code of GAN Dissection."""

_LATER = frozenset({"min_share"})
"""Settings that came after the first runs were written; these do not name them."""


@dataclass(frozen=True)
class RunConfig:
    """Settings of a run.

    Args:
        generator: How the generator was asked for: zoo name, path or factory.
        segmenter: How the segmenter was asked for.
        layers: Layers that were read, in the generator's order.
        n_samples: Samples 0 … n_samples - 1 of the seed.
        seed: 0 ≤ seed < 2⁶⁴.
        label: Class for every sample; None lets each draw its own.
        truncation: ψ of the latents.
        threshold: ``information`` or ``quantile``; the one behind labels; both are stored.
        tail: Fraction of a unit's values above its quantile threshold.
        min_iou: What an interpretable unit's IoU has to exceed.
        min_over_chance: What its (IoU - chance) / (1 - chance) has to exceed.
        fdr: Share of false finds that is put up with among the units called interpretable.
        pilot: Samples from which the edges of each unit are taken.
        block: Samples of one forward pass. Convolutions round differently for other batch sizes,
            so it belongs to what makes a run's bytes. A multiple of 8, the size of a cluster.
        grid: Height and width of the mask grid in pixels; None stands for the image's own size, at
            most 128. ``native`` has that size too, but compares each layer at its own resolution.
        top_images: Images kept for each unit.
        compat: ``gandissect`` counts and names as the original code of GAN Dissection does, on
            masks of half the image's size; None as this toolkit does.
        coactivation: Also count which units of a layer are active in the same images.
        min_share: Share of the evaluation fold's mask-grid pixels that a concept has to cover to
            be a label; 0 lets all be. What is counted and stored of it does not change.

    Raises:
        ConfigError: a setting out of its range.
    """

    generator: str
    segmenter: str
    layers: tuple[str, ...]
    n_samples: int = 1000
    seed: int = 0
    label: int | None = None
    truncation: float = 1.0
    threshold: str = "information"
    tail: float = 0.005
    min_iou: float = 0.05
    min_over_chance: float = 0.02
    fdr: float = 0.05
    pilot: int = 256
    block: int = 32
    grid: int | str | None = None
    top_images: int = 8
    compat: str | None = None
    coactivation: bool = False
    min_share: float = 0.0

    def __post_init__(self) -> None:
        at_least = {"n_samples": 2 * CLUSTER, "pilot": CLUSTER, "block": CLUSTER, "top_images": 1}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; expected a whole number of at least {least}"
                )
        if self.block % CLUSTER:
            raise ConfigError(f"block is {self.block}; expected a multiple of {CLUSTER}")
        if not 0 <= self.seed < 2**64:
            raise ConfigError(f"seed is {self.seed}; expected a whole number from 0 to 2**64 - 1")
        if not math.isfinite(self.truncation):
            raise ConfigError(f"truncation is {self.truncation}; expected a finite number")
        for name in ("tail", "fdr"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; expected a fraction above 0 and below 1"
                )
        for name in ("min_iou", "min_over_chance", "min_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected from 0 to below 1")
        if self.threshold not in THRESHOLDS:
            raise ConfigError(
                f"threshold is {self.threshold!r}; expected {' or '.join(map(repr, THRESHOLDS))}"
            )

        self._check_grid()
        self._check_compat()
        if self.coactivation and self.n_samples > MOST_SAMPLES:
            raise ConfigError(
                f"n_samples is {self.n_samples} with coactivation; expected at most {MOST_SAMPLES}"
            )

    def _check_grid(self) -> None:
        if isinstance(self.grid, str) and self.grid != NATIVE:
            raise ConfigError(f"grid is {self.grid!r}; expected a number of pixels or {NATIVE!r}")
        if isinstance(self.grid, int) and self.grid < 1:
            raise ConfigError(f"grid is {self.grid}; expected at least 1 pixel")

    def _check_compat(self) -> None:
        if self.compat is None:
            return
        if self.compat != COMPAT:
            raise ConfigError(f"compat is {self.compat!r}; expected {COMPAT!r} or none")
        for name in ("grid", "min_over_chance", "fdr", "min_share"):
            value = getattr(self, name)
            if value != getattr(RunConfig, name):
                raise ConfigError(
                    f"{name} is {value!r} with compat {COMPAT!r}, which has its own rule for it; "
                    "expected the default; leave one of the two out"
                )

    @property
    def native(self) -> bool:
        """Whether layers are compared at their own resolution."""
        return self.grid == NATIVE

    def to_json(self) -> dict[str, object]:
        """Plain values, in the order of the fields.

        Those that came later are left out where they have their default, so that the settings of a
        run that does not use them, and its fingerprint, stay what they were.
        """
        values = dataclasses.asdict(self) | {"layers": list(self.layers)}
        return {
            name: value
            for name, value in values.items()
            if name not in _LATER or value != getattr(RunConfig, name)
        }

    @classmethod
    def from_json(cls, values: dict[str, object]) -> "RunConfig":
        """The inverse of ``to_json``.

        Raises:
            ConfigError: a field that is missing or unknown.
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        odd = (set(values) ^ fields) - (_LATER - set(values))
        if odd:
            odd = ", ".join(sorted(odd))
            raise ConfigError(f"the settings of the run differ from those known here in: {odd}")
        return cls(**{**values, "layers": tuple(values["layers"])})
