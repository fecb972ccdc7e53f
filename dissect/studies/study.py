"""The base class of studies: one kind of measurement of the effect of edits on the images.

A kind of study is one class: its question (a class of settings), its measurement, the description
of its result, the columns of its tables, and its pictures. The command line, reports and the
dashboard use only the class and do not depend on the kind. To add one, write the class and list it
in ``registry``.

Nothing in here imports torch; a class imports what it needs when it measures.
"""

import argparse
import shlex
from abc import ABC, abstractmethod
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from dissect.config import RunOptions
from dissect.settings import Settings, add_settings, like, setting
from dissect.studies.description import Description

if TYPE_CHECKING:
    from dissect.runs import Run
    from dissect.studies.store import StoredEffect

Summary = Mapping[str, Any]
"""The result as plain values, as stored in recipe.json."""
Question = TypeVar("Question", bound=Settings)


@dataclass(frozen=True)
class Picture:
    """A picture that a study stores.

    Args:
        file: Its name in the effect's folder.
        title: Description of the picture.
        media: Its media type.
        is_wide: Whether it takes the full width of a page.
    """

    file: str
    title: str
    media: str = "image/png"
    is_wide: bool = False


SHEET = Picture("sheet.png", "Before, after, difference")


@dataclass(frozen=True)
class Result:
    """The result of a measurement.

    Attributes:
        summary: The result as plain values.
        effect: The effect stored with the run; None if nothing was worth storing.
    """

    summary: dict[str, Any]
    effect: "StoredEffect | None"


@dataclass(frozen=True)
class Target:
    """The change of the target concept of a set of units.

    Attributes:
        concept: Its name.
        verb: ``net removed`` or ``net added``.
        share: Share of its pixels; None if undefined.
    """

    concept: str
    verb: str
    share: float | None


def verb_of(share: str) -> str:
    """The words for a column of shares: ``net removed`` for ``net_removed_share``."""
    return share.removesuffix("_share").replace("_", " ")


class StudyOptions(Settings, kw_only=True):
    """Options for measuring and storing a study.

    Raises:
        ConfigError: an option of a wrong type, an unknown name.
    """

    name: str | None = setting(
        "name of its folder under RUN/effects; default: made from the question", default=None
    )
    device: str = like(RunOptions, "device", default="cpu")
    progress: bool = setting("show progress bars on stderr", default=True)


class Study(ABC, Generic[Question]):
    """One kind of study; see the module docstring."""

    kind: ClassVar[str]
    """Its name in recipe.json, and of the command."""
    help: ClassVar[str]
    """Description of the command, in a few words."""
    question: type[Question]
    """The class of its settings."""
    fixed: ClassVar[Mapping[str, object]] = {}
    """Settings with a value fixed by the kind."""
    without: ClassVar[frozenset[str]] = frozenset()
    """Settings without a meaning for this kind, which are therefore not options."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Examples of command lines for the help."""
    label: ClassVar[str] = ""
    """Title in the dashboard's form; "" if the form does not offer it."""
    hint: ClassVar[str] = ""
    """Its effect on the units, for the form."""
    pictures: ClassVar[tuple[Picture, ...]] = (SHEET,)
    share: ClassVar[str] = ""
    """The column of a set's table with the intended change: a net share."""
    gross_share: ClassVar[str] = ""
    """The same without the opposite change; effects of version 1 have only this."""

    @abstractmethod
    def measure(
        self, run: "Run", question: Question, *, name: str | None, device: str, progress: bool
    ) -> Result:
        """Measure and store.

        Args:
            run: A finished run whose generator and segmenter can be loaded.
            question: The settings.
            name: Name of the folder under ``effects/``; None derives one from the settings.
            device: Device to load the models on.
            progress: Show progress bars on stderr.

        Raises:
            DissectError: an invalid argument; the message is one line.
        """

    @abstractmethod
    def headline(self, summary: Summary) -> str:
        """The result in half a line."""

    @abstractmethod
    def describe(self, summary: Summary) -> Description:
        """The result for people."""

    @property
    def verb(self) -> str:
        """The meaning of ``share``, such as ``net removed``; "" without one."""
        return verb_of(self.share)

    def target(self, summary: Summary) -> Target | None:
        """The change of the target concept; None for a study without a target."""
        if not self.share:
            return None
        return Target(summary["concept"], self.verb, self.net(summary["target"]))

    def alone(self, effect: "StoredEffect") -> dict[tuple[str, int], Target]:
        """The change of a concept without one unit alone, by layer and unit.

        The effect of a set belongs to the set, so a unit has one only if nothing else was edited.
        """
        target = self.target(effect.record["summary"])
        layers = self.layers(effect.record["summary"])
        units = [(layer, unit) for layer, own in layers.items() for unit in own]
        return {} if target is None or len(units) != 1 else {units[0]: target}

    def layers(self, summary: Summary) -> dict[str, list[int]]:
        """Layer → the units that were edited together; empty if the latent was moved."""
        return {}

    def share_in(self, table: Container[str]) -> str:
        """``share``, or ``gross_share`` for a table of an earlier version without ``share``."""
        return self.share if self.share in table else self.gross_share

    def net(self, row: Mapping[str, Any]) -> float | None:
        """The net share of a concept's row; None if undefined.

        Effects of version 1 do not store it; it is computed from the pixels before and after.
        """
        if self.share in row or not row["before"]:
            return row.get(self.share)
        change = row["after"] / row["before"] - 1
        return -change if "removed" in self.share else change

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the settings that are options of the command."""
        return tuple(
            name
            for name in self.question.declared
            if name not in self.fixed and name not in self.without
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command: those of the question, then ``StudyOptions``."""
        add_settings(parser, self.question, *self.options)
        add_settings(parser, StudyOptions, without=["progress"])

    def command(self, question: Mapping[str, Any]) -> str:
        """The command line of a stored question, with RUN for the folder."""
        words = ["dissect", self.kind, "RUN"]
        for name in question:
            if name in self.options:
                words += self.words(name, question)
        return shlex.join(words)

    def words(self, name: str, question: Mapping[str, Any]) -> list[str]:
        """The words of a command line that set one setting; empty if it has no value."""
        value = question[name]
        if value is None or value in ([], (), False):
            return []
        is_list = isinstance(value, list | tuple)
        text = ",".join(map(str, value)) if is_list else str(value)
        return [self.question.declared[name].flag, text]
