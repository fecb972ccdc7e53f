"""Requests of a page for a run or an effect, checked before a process is started."""

import re
from collections.abc import Collection
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from dashboard.work.records import EFFECT, NAME_EXPECTED, NAME_PATTERN, RUN
from dissect.config import RunConfig
from dissect.errors import ConfigError, SettingError
from dissect.settings import Settings, like, setting
from dissect.settings.kinds import short
from dissect.studies.registry import STUDIES
from dissect.studies.unit_question import UnitQuestion

EFFECT_KINDS = tuple(kind for kind, study in STUDIES.items() if study.label)
"""Kinds of study in the form of a page."""
# A basis from a file (@sae:FILE) would let a browser name a path.
_LAYER = re.compile(r"[\w.-]{1,100}(@(rotation|pca):[0-9]{1,9})?", re.ASCII)
_MOST_LAYERS = 200
_EFFECT_NAME = r"[\w@+-][\w@+.-]{0,99}"
_MOST_UNITS = 4096


def _of_run(name: str, **changes: Any) -> Any:
    """A setting as declared in ``RunConfig``."""
    return like(RunConfig, name, default=RunConfig.declared[name].default, **changes)


class RunRequest(Settings, kw_only=True):
    """A request for a run.

    Raises:
        ConfigError: a value of a wrong type or out of its range, an unknown name.
    """

    name: str = setting(
        "name of its folder", label="Name of the run", pattern=NAME_PATTERN, expected=NAME_EXPECTED
    )
    generator: str = _of_run("generator", label="Generator")
    segmenters: tuple[str, ...] = setting(
        "what marks concepts in the images", count_at_least=1, label="Segmenters",
        expected="at least one segmenter of the list",
    )  # fmt: skip
    halves: bool = setting("halves of objects are concepts too", default=False, label="Halves")
    layers: str = setting(
        "all, or names with commas between", default="all", label="Layers",
        expected=f"all, or at most {_MOST_LAYERS} names with commas between, NAME@rotation:SEED or "
        "NAME@pca:COMPONENTS for another basis",
    )  # fmt: skip
    n_samples: int = _of_run("n_samples", at_most=1_000_000)
    # The largest integer that a browser stores exactly; the command line accepts larger ones.
    seed: int = _of_run("seed", at_most=2**53 - 1)
    truncation: float = _of_run("truncation")
    threshold: str = _of_run("threshold")
    coactivation: bool = _of_run("coactivation")
    label: int | None = _of_run("label")
    tail: float = _of_run("tail")
    min_iou: float = _of_run("min_iou")
    min_over_chance: float = _of_run("min_over_chance")
    min_share: float = _of_run("min_share")
    fdr: float = _of_run("fdr")
    block: int = _of_run("block", at_most=1024)
    grid: int | str | None = _of_run("grid", at_most=1024)
    compat: str | None = _of_run("compat")

    def check(self) -> None:
        names = self.layers.split(",")
        wrong = [name for name in names if not _LAYER.fullmatch(name.strip())]
        if wrong or len(names) > _MOST_LAYERS:
            raise SettingError(
                "layers", f"is {short(self.layers)}; expected {self.declared['layers'].expected}"
            )
        RunConfig(generator=self.generator, segmenter="-", layers=(), **self.settings())

    def settings(self) -> dict[str, Any]:
        """The settings that ``RunConfig`` has under the same names, without the models."""
        return {
            name: getattr(self, name)
            for name in RunConfig.declared
            if hasattr(self, name) and name not in ("generator", "layers")
        }

    @property
    def kind(self) -> str:
        return RUN

    @property
    def run(self) -> str:
        return self.name

    @property
    def id(self) -> str:
        """Id of the job."""
        return self.name

    def arguments(self, folder: Path) -> list[str]:
        """Arguments for the command line; no value can be read as an option.

        Args:
            folder: Folder of the runs.
        """
        declared = RunConfig.declared
        given = {
            declared[name].flag: value
            for name, value in self.settings().items()
            if value is not None and not isinstance(value, bool)
        }
        given |= {
            "--segmenter": "+".join([*self.segmenters, *(["quadrants"] if self.halves else [])]),
            "--layers": ",".join(name.strip() for name in self.layers.split(",")),
            "--out": folder / self.name,
        }
        flags = [declared[name].flag for name, on in self.settings().items() if on is True]
        options = [f"{flag}={value}" for flag, value in given.items()]
        return ["run", *options, *flags, "--resume", "--", self.generator]


class EffectRequest(Settings, kw_only=True):
    """A request for the measurement of an effect.

    Raises:
        ConfigError: a value of a wrong type or out of its range, an unknown name.
    """

    run: str = setting("name of the run's folder, already looked up; never what a browser sent")
    edit: str = setting("what is done to the units", choices=EFFECT_KINDS)
    concept: str = like(UnitQuestion, "concept", default=MISSING)
    name: str = setting(
        "name of the effect", pattern=_EFFECT_NAME, expected="letters, digits and any of - _ . +"
    )
    n_units: int = like(UnitQuestion, "n_units", default=20, at_most=_MOST_UNITS)
    n_samples: int = like(UnitQuestion, "n_samples", default=200, at_most=100_000)
    order: str = like(UnitQuestion, "order", default="iou")
    layer: str | None = like(UnitQuestion, "layer", default=None)
    curve: bool = setting(
        "also measure the effect against the number of units; not every study has a curve",
        default=False,
    )
    generator: str | None = setting(
        "where the run's generator lies now, already looked up; never what a browser sent",
        default=None,
    )
    picked: tuple[int, ...] = like(
        UnitQuestion, "picked", default=(), count_at_most=_MOST_UNITS, label="Units by hand"
    )

    def check(self) -> None:
        question = UnitQuestion(
            concept=self.concept, layer=self.layer, n_units=self.n_units, order=self.order,
            picked=self.picked,
        )  # fmt: skip
        object.__setattr__(self, "order", question.order)

    @property
    def kind(self) -> str:
        return EFFECT

    @property
    def id(self) -> str:
        """Id of the job."""
        return f"{self.run}/{self.name}"

    def arguments(self, folder: Path) -> list[str]:
        """Arguments for the command line; no value can be read as an option.

        Args:
            folder: Folder of the run.
        """
        options: dict[str, object] = {"n_units": self.n_units, "order": self.order}
        if self.picked:
            options = {"picked": ",".join(map(str, self.picked))}
        options |= {"n_samples": self.n_samples, "concept": self.concept}
        if self.layer is not None:
            options["layer"] = self.layer
        study = STUDIES[self.edit]
        if self.curve and "curve" in study.options:
            options["curve"] = self.order
        flags = {name: study.question.declared[name].flag for name in options}
        given = [f"{flags[name]}={value}" for name, value in options.items()]
        given += [] if self.generator is None else [f"--generator={self.generator}"]
        return [self.edit, *given, f"--name={self.name}", "--json", "--", str(folder / self.run)]


def check_segmenters(given: object, known: Collection[str]) -> tuple[str, ...]:
    """The chosen segmenters, without duplicates.

    Raises:
        ConfigError: one that is not available.
    """
    chosen = given if isinstance(given, list) else [given]
    names = [one for one in chosen if isinstance(one, str) and one in known]
    if not chosen or len(names) < len(chosen):
        raise ConfigError(
            f"segmenters are {short(given)}; expected some of {', '.join(known)}; choose from "
            "the list"
        )
    return tuple(dict.fromkeys(names))
