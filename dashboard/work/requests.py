"""Requests of a page for a run or an effect, checked before a process is started."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dashboard.work.records import EFFECT, RUN, check_name
from dissect.errors import ConfigError
from dissect.studies.questions import PICKED

FEWEST_SAMPLES = 16
MOST_SAMPLES = 1_000_000
LARGEST_SEED = 2**53 - 1
"""The largest whole number that a browser keeps exactly; the command line takes larger ones."""
THRESHOLDS = ("information", "quantile")
EFFECT_KINDS = ("ablate", "insert", "context")
_ORDERS = ("iou", "excess", "sweep", "greedy")
# A basis from a file (@sae:FILE) would let a browser name a path.
_LAYER = re.compile(r"[\w.-]{1,100}(@(rotation|pca):[0-9]{1,9})?", re.ASCII)
_MOST_LAYERS = 200
_EFFECT_NAME = re.compile(r"[\w@+-][\w@+.-]{0,99}", re.ASCII)
_MOST_UNITS = 4096


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run that is to be made.

    Args:
        name: Of its folder.
        generator: As the command line takes it, already looked up; never what a browser sent.
        segmenters: Names at hand.
        halves: Also mark the halves of every object.
        layers: ``all``, or names with commas between.
        samples, seed, truncation, threshold, coactivation: As ``dissect run`` has them.

    Raises:
        ConfigError: a value of another type or out of its range.
    """

    name: str
    generator: str
    segmenters: tuple[str, ...]
    halves: bool = False
    layers: str = "all"
    samples: int = 1000
    seed: int = 0
    truncation: float = 1.0
    threshold: str = "information"
    coactivation: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.segmenters:
            raise ConfigError("no segmenter is chosen; expected at least one; choose of the list")
        for field, least, most in (
            ("samples", FEWEST_SAMPLES, MOST_SAMPLES),
            ("seed", 0, LARGEST_SEED),
        ):
            value = getattr(self, field)
            if type(value) is not int or not least <= value <= most:
                raise ConfigError(
                    f"{field} is {_short(value)}; expected a whole number from {least:,} to "
                    f"{most:,}"
                )
        value = self.truncation
        if type(value) not in (int, float) or not math.isfinite(value) or not -2 <= value <= 2:
            raise ConfigError(f"truncation is {_short(value)}; expected a number from -2 to 2")
        if self.threshold not in THRESHOLDS:
            raise ConfigError(
                f"threshold is {_short(self.threshold)}; expected {' or '.join(THRESHOLDS)}"
            )
        for field in ("halves", "coactivation"):
            if type(getattr(self, field)) is not bool:
                raise ConfigError(f"{field} is {_short(getattr(self, field))}; expected on or off")
        self._check_layers()

    def _check_layers(self) -> None:
        names = self.layers.split(",") if isinstance(self.layers, str) else []
        wrong = [name for name in names if not _LAYER.fullmatch(name.strip())]
        if not names or wrong or len(names) > _MOST_LAYERS:
            raise ConfigError(
                f"layers is {_short(self.layers)}; expected all, or at most {_MOST_LAYERS} names "
                "with commas between, NAME@rotation:SEED or NAME@pca:COMPONENTS for another basis"
            )

    @property
    def kind(self) -> str:
        return RUN

    @property
    def run(self) -> str:
        return self.name

    @property
    def id(self) -> str:
        """Of the job."""
        return self.name

    def arguments(self, folder: Path) -> list[str]:
        """What the command line is given; no value can be taken for an option.

        Args:
            folder: Holds the runs.
        """
        layers = ",".join(name.strip() for name in self.layers.split(","))
        options = {
            "segmenter": "+".join([*self.segmenters, *(["quadrants"] if self.halves else [])]),
            "layers": layers,
            "samples": self.samples,
            "seed": self.seed,
            "truncation": self.truncation,
            "threshold": self.threshold,
            "out": folder / self.name,
        }
        flags = ["--coactivation"] if self.coactivation else []
        given = [f"--{name}={value}" for name, value in options.items()]
        return ["run", *given, *flags, "--resume", "--", self.generator]


@dataclass(frozen=True, kw_only=True)
class EffectRequest:
    """An effect that is to be measured.

    Args:
        run: Name of the run's folder, already looked up; never what a browser sent.
        edit: ``ablate``, ``insert`` or ``context``.
        concept: Whose pixels should go, or come.
        name: Of the effect.
        units: How many.
        samples: How many.
        order: Which units; ``picked`` where ``picked`` names them.
        layer: None takes the one whose units tell most of the concept.
        curve: Also the effect against the number of units; contexts have none.
        picked: Units chosen by hand, which need a layer; ``units`` is not read then.

    Raises:
        ConfigError: a field of another type or out of its range.
    """

    run: str
    edit: str
    concept: str
    name: str
    units: int = 20
    samples: int = 200
    order: str = "iou"
    layer: str | None = None
    curve: bool = False
    picked: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        orders = [PICKED] if self.picked else _ORDERS
        if self.edit not in EFFECT_KINDS or self.order not in orders:
            raise ConfigError(
                f"the edit is {_short(self.edit)}, the order {_short(self.order)}; expected one of "
                f"{', '.join(EFFECT_KINDS)} and one of {', '.join(orders)}"
            )
        if not isinstance(self.name, str) or not _EFFECT_NAME.fullmatch(self.name):
            raise ConfigError(
                f"name is {_short(self.name)}; expected letters, digits and any of - _ . +"
            )
        if len(self.picked) > _MOST_UNITS:
            raise ConfigError(
                f"{len(self.picked)} units are chosen by hand; expected at most {_MOST_UNITS}"
            )
        if self.picked and self.layer is None:
            raise ConfigError("units are chosen by hand but no layer is; choose theirs")
        if not isinstance(self.curve, bool):
            raise ConfigError(f"curve is {_short(self.curve)}; expected true or false")
        for field, least, most in (("units", 1, _MOST_UNITS), ("samples", 2, 100_000)):
            value = getattr(self, field)
            if type(value) is not int or not least <= value <= most:
                raise ConfigError(
                    f"{field} is {_short(value)}; expected a whole number from {least} to {most}"
                )

    @property
    def kind(self) -> str:
        return EFFECT

    @property
    def id(self) -> str:
        """Of the job."""
        return f"{self.run}/{self.name}"

    def arguments(self, folder: Path) -> list[str]:
        """What the command line is given; no value can be taken for an option.

        Args:
            folder: Holds the run.
        """
        options: dict[str, object] = {"units": self.units, "order": self.order}
        if self.picked:
            options = {"pick": ",".join(map(str, self.picked))}
        options |= {"samples": self.samples, "name": self.name, "concept": self.concept}
        if self.layer is not None:
            options["layer"] = self.layer
        if self.curve and self.edit != "context":
            options["curve"] = self.order
        given = [f"--{name}={value}" for name, value in options.items()]
        return [self.edit, *given, "--json", "--", str(folder / self.run)]


def check_segmenters(given: object, known: Collection[str]) -> tuple[str, ...]:
    """The chosen segmenters, each once.

    Raises:
        ConfigError: one that is not at hand.
    """
    chosen = given if isinstance(given, list) else [given]
    if not chosen or any(not isinstance(one, str) or one not in known for one in chosen):
        raise ConfigError(
            f"segmenters are {_short(given)}; expected some of {', '.join(known)}; choose of the "
            "list"
        )
    return tuple(dict.fromkeys(chosen))


def _short(value: object) -> str:
    return repr(value)[:60]
