"""Settings of a run: what it counts and how. One immutable value, checked on creation."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from dissect.errors import ConfigError, SettingError
from dissect.settings import Settings, like, setting
from dissect.statistics.folds import CLUSTER
from dissect.statistics.thresholds import THRESHOLDS

NATIVE = "native"
"""Value of ``grid`` that compares every layer at its own resolution."""
COMPAT = "gandissect"
"""Value of ``compat`` that counts like the original code of GAN Dissection."""

_LATER = frozenset({"min_share", "mixtures", "on_nan"})
"""Settings that are newer than the first runs, which do not store them."""


class RunConfig(Settings):
    """Settings of a run.

    Raises:
        ConfigError: a setting of a wrong type or out of its range, an unknown name, settings that
            contradict each other.
    """

    generator: str = setting("zoo name, path of a checkpoint, or package.module:factory")
    segmenter: str = setting("name that zoo lists; join with +; +quadrants adds halves of objects")
    layers: tuple[str, ...] = setting("layers that are read, in the generator's order")
    n_samples: int = setting(
        "samples that are counted, from the first of the seed",
        default=1000, at_least=2 * CLUSTER, flag="--samples",
    )  # fmt: skip
    seed: int = setting("seed of the samples", default=0, at_least=0, at_most=2**64 - 1)
    label: int | None = setting(
        "class of every sample; each draws its own if left out",
        default=None,
        at_least=0,
        label="Class",
    )
    truncation: float = setting(
        "truncation ψ of the latents, 1 for none", default=1.0, at_least=-2, at_most=2
    )
    threshold: str = setting(
        "threshold at which units are named", default="information", choices=THRESHOLDS[::-1],
        details="Both are stored.",
    )  # fmt: skip
    tail: float = setting(
        "fraction of a unit's values that lie above its quantile threshold",
        default=0.005, above=0, below=1, label="Tail fraction",
    )  # fmt: skip
    min_iou: float = setting(
        "IoU that a unit has to exceed to match a concept",
        default=0.05,
        at_least=0,
        below=1,
        label="Lowest IoU",
    )
    min_over_chance: float = setting(
        "(IoU - chance) / (1 - chance) that it has to exceed as well",
        default=0.02,
        at_least=0,
        below=1,
        label="Lowest IoU over chance",
    )
    fdr: float = setting(
        "false discovery rate among the units that match a concept",
        default=0.05, above=0, below=1, label="False discovery rate",
    )  # fmt: skip
    pilot: int = setting(
        "samples from which the edges of each unit are taken", default=256, at_least=CLUSTER
    )
    block: int = setting(
        "samples of one forward pass",
        default=32, at_least=CLUSTER, multiple_of=CLUSTER, flag="--batch", label="Batch size",
        details="Convolutions round differently for other batch sizes, so it belongs to what makes "
        "a run's bytes.",
    )  # fmt: skip
    grid: int | str | None = setting(
        "height and width of the mask grid in pixels, or native for each layer's own; default: the "
        "image's, at most 128",
        default=None, at_least=1, choices=(NATIVE,), metavar="PIXELS", label="Mask grid",
        expected=f"a number of pixels, at least 1, or {NATIVE!r}",
    )  # fmt: skip
    top_images: int = setting("images kept for each unit", default=8, at_least=1)
    compat: str | None = setting(
        "count and name units as the original code of GAN Dissection does", default=None,
        choices=(COMPAT,), label="Compatible with",
        details="Masks have half the image's size then.",
    )  # fmt: skip
    coactivation: bool = setting(
        "also count which units of a layer are active in the same images", default=False
    )
    min_share: float = setting(
        "share of all pixels that a concept has to cover to be a label; 0: any share",
        default=0.0, at_least=0, below=1, label="Smallest share of a label",
        details="Pixels of the evaluation fold's mask grid. What is counted and stored of the "
        "concept does not change.",
    )  # fmt: skip
    mixtures: int = setting(
        "draws of random mixtures that each layer's units are held against; 0: none", default=4,
        at_least=0, at_most=64, label="Draws of mixtures",
        details="A draw gives a 64th as many directions as the layer has units, at least 4.",
    )  # fmt: skip
    on_nan: str = setting(
        "what to do about a sample whose image or maps hold NaN or infinity: fail ends the run, "
        "skip leaves the sample out and counts the others",
        default="fail", choices=("fail", "skip"), label="On NaN",
    )  # fmt: skip

    def check(self) -> None:
        self._check_compat()
        if self.coactivation:
            from dissect.statistics.units.coactivation import MOST_SAMPLES  # noqa: PLC0415, needs numpy

            if self.n_samples > MOST_SAMPLES:
                raise SettingError(
                    "n_samples",
                    f"is {self.n_samples} with coactivation; expected at most {MOST_SAMPLES}",
                )

    def _check_compat(self) -> None:
        if self.compat is None:
            return
        for name in ("grid", "min_over_chance", "fdr", "min_share"):
            value = getattr(self, name)
            if value != getattr(RunConfig, name):
                raise SettingError(
                    name,
                    f"is {value!r} with compat {COMPAT!r}, which has its own rule for it; "
                    "expected the default; leave one of the two out",
                )

    @property
    def native(self) -> bool:
        """Whether layers are compared at their own resolution."""
        return self.grid == NATIVE

    def to_json(self) -> dict[str, object]:
        """Plain values, in the order of the fields.

        Later settings are omitted if they have their default, so that the settings of a run that
        does not use them, and its fingerprint, do not change.
        """
        values = dataclasses.asdict(self) | {"layers": list(self.layers)}
        return {
            name: value
            for name, value in values.items()
            if name not in _LATER or value != getattr(RunConfig, name)
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RunConfig":
        """The inverse of ``to_json``.

        Raises:
            ConfigError: a missing, unknown or invalid field.
        """
        odd = (set(values) ^ set(cls.declared)) - (_LATER - set(values))
        if odd:
            odd = ", ".join(sorted(odd))
            raise ConfigError(f"the settings of the run differ from those known here in: {odd}")
        try:
            return cls(**values)
        except ConfigError:
            return AnyTruncationConfig(**values)


class AnyTruncationConfig(RunConfig):
    """Settings of samples with any finite ψ, as in older runs and paintings."""

    truncation: float = like(RunConfig, "truncation", default=1.0, at_least=None, at_most=None)


class RunOptions(Settings, kw_only=True):
    """Options of ``dissect()`` that are not stored with the run; only ``layers`` changes its bytes.

    Raises:
        ConfigError: an option of a wrong type or out of its range, an unknown name.
    """

    layers: str | tuple[str, ...] = setting(
        "names of layers with commas between, or all; NAME@rotation:SEED, NAME@pca:COMPONENTS and "
        "NAME@sae:FILE read a layer in another basis",
        default="all", expected="names of layers, or 'all'", metavar="LAYER,…",
        reader=lambda text: tuple(name.strip() for name in text.split(",")),
    )  # fmt: skip
    device: str = setting(
        "where the models run and maps are counted, such as cuda or mps; auto: the machine's "
        "accelerator, if it has one",
        default="cpu",
    )
    resume: bool = setting("go on with an interrupted run of the same settings", default=False)
    progress: bool = setting("show progress bars on stderr", default=True)
    memory: str | int | None = setting(
        "memory that the process may use, such as 4GB; fewer layers are counted in each pass",
        default=None, at_least=1, metavar="SIZE", expected="an amount such as '4GB'",
        reader=str,
    )  # fmt: skip
    cache: str | Path | None = setting(
        "folder that keeps masks, so that later runs over the same samples segment nothing again; "
        "user: one in the user's cache",
        default=None, metavar="FOLDER", expected="a folder, or 'user'", reader=str,
    )  # fmt: skip
    save_every: float = setting(
        "seconds between saves of what is counted", default=60.0, at_least=0
    )
    workers: int | str | None = setting(
        "processes that count at the same time, or auto: one for each core; default: 1, with "
        "cluster: auto",
        default=None, at_least=1, at_most=1024, choices=("auto",), metavar="N",
        expected="a number of processes, at least 1, or 'auto'",
        details="The bytes of the run do not depend on it. Models must be given by name.",
    )  # fmt: skip
    cluster: str | None = setting(
        "count on a cluster of Ray: its address, auto for the one that this machine belongs to, "
        "local for a new one on this machine alone",
        default=None, metavar="ADDRESS", expected="HOST:PORT, 'auto' or 'local'",
        details="The bytes of the run do not depend on it. Models must be given by name.",
    )  # fmt: skip
    no_strips: bool = setting("keep no pictures of the top images of units", default=False)
    keep_counts: bool = setting(
        "keep the counts in a folder beside the run, so that extend can add samples to it later",
        default=False,
    )
    extend: int | None = setting(
        "add samples to the run in OUT, made with the same settings and with its counts kept, "
        "until it has so many",
        default=None, at_least=1, metavar="N",
    )  # fmt: skip
    profile: str | Path | None = setting(
        "file for a trace of where the time goes, which a browser's trace viewer opens",
        default=None, metavar="FILE.json", reader=str,
    )  # fmt: skip


class RunSettings(TypedDict, total=False):
    """Keyword settings of ``dissect()``: fields of ``RunConfig`` that have a default."""

    n_samples: int
    seed: int
    label: int | None
    truncation: float
    threshold: str
    tail: float
    min_iou: float
    min_over_chance: float
    fdr: float
    pilot: int
    block: int
    grid: int | str | None
    top_images: int
    compat: str | None
    coactivation: bool
    min_share: float
    mixtures: int
    on_nan: str
