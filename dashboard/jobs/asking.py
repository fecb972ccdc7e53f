"""What a run is asked to do from a page, checked before a process is started for it."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dissect.errors import ConfigError

FEWEST_SAMPLES = 16
MOST_SAMPLES = 1_000_000
LARGEST_SEED = 2**53 - 1
"""The largest whole number that a browser keeps exactly; the command line takes larger ones."""
THRESHOLDS = ("information", "quantile")
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}", re.ASCII)
# A basis from a file (@sae:FILE) would let a browser name a path.
_LAYER = re.compile(r"[\w.-]{1,100}(@(rotation|pca):[0-9]{1,9})?", re.ASCII)
_MOST_LAYERS = 200


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

    def arguments(self, out: Path) -> list[str]:
        """What the command line is given; no value can be taken for an option."""
        layers = ",".join(name.strip() for name in self.layers.split(","))
        options = {
            "segmenter": "+".join([*self.segmenters, *(["quadrants"] if self.halves else [])]),
            "layers": layers,
            "samples": self.samples,
            "seed": self.seed,
            "truncation": self.truncation,
            "threshold": self.threshold,
            "out": out,
        }
        flags = ["--coactivation"] if self.coactivation else []
        given = [f"--{name}={value}" for name, value in options.items()]
        return ["run", *given, *flags, "--resume", "--", self.generator]


def check_name(given: object) -> str:
    """A name that a folder may have.

    Raises:
        ConfigError: another one.
    """
    if not isinstance(given, str) or not _SLUG.fullmatch(given):
        raise ConfigError(
            f"name is {_short(given)}; expected 1 to 60 small letters, digits, - or _, the first "
            "one a letter or a digit"
        )
    return given


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
