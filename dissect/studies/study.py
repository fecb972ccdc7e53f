"""What a study is: one kind of measurement of what edits do to the images.

A kind of study is one class: its question (a class of settings), how it is measured, how its result
is described, the columns of its tables, and its pictures. The command line, reports and the
dashboard ask the class and know no kind. To add one, write the class and name it in ``registry``.

Nothing in here imports torch; a class imports what its measurement needs when it measures.
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
"""What was found, plain values, as recipe.json has it."""
Question = TypeVar("Question", bound=Settings)


@dataclass(frozen=True)
class Picture:
    """A picture that a study stores.

    Args:
        file: Its name in the effect's folder.
        title: What it shows.
        media: Its media type.
        is_wide: It takes the width of a page.
    """

    file: str
    title: str
    media: str = "image/png"
    is_wide: bool = False


SHEET = Picture("sheet.png", "Before, after, difference")


@dataclass(frozen=True)
class Result:
    """What a measurement gives.

    Attributes:
        summary: What was found.
        effect: What was stored with the run; None where nothing was worth it.
    """

    summary: dict[str, Any]
    effect: "StoredEffect | None"


@dataclass(frozen=True)
class Target:
    """What became of the concept that a set of units was aimed at.

    Attributes:
        concept: Its name.
        verb: ``net removed`` or ``net added``.
        share: Of its pixels; None where that is undefined.
    """

    concept: str
    verb: str
    share: float | None


def verb_of(share: str) -> str:
    """The words for a column of shares: ``net removed`` for ``net_removed_share``."""
    return share.removesuffix("_share").replace("_", " ")


class StudyOptions(Settings, kw_only=True):
    """How a study is measured and where it is stored.

    Raises:
        ConfigError: an option of a wrong type, an unknown name.
    """

    name: str | None = setting(
        "name of its folder under RUN/effects; default: made from the question", default=None
    )
    device: str = like(RunOptions, "device", default="cpu")
    progress: bool = setting("show progress bars on stderr", default=True)


class Study(ABC, Generic[Question]):
    """One kind of study, see the head of this module."""

    kind: ClassVar[str]
    """Its name: in recipe.json, and of the command."""
    help: ClassVar[str]
    """What the command does, in a few words."""
    question: type[Question]
    """The settings of its question."""
    fixed: ClassVar[Mapping[str, object]] = {}
    """Settings of the question that the kind decides."""
    without: ClassVar[frozenset[str]] = frozenset()
    """Settings that mean nothing to this kind, so that they are no options."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Command lines for the help."""
    label: ClassVar[str] = ""
    """In the dashboard's form; "" where the form does not offer it."""
    hint: ClassVar[str] = ""
    """What it does to the units, for the form."""
    pictures: ClassVar[tuple[Picture, ...]] = (SHEET,)
    share: ClassVar[str] = ""
    """The column of a set's table that says how far it did what it was meant to do: a net share."""
    gross_share: ClassVar[str] = ""
    """The same without what changed the other way, which is all that effects of version 1 have."""

    @abstractmethod
    def measure(
        self, run: "Run", question: Question, *, name: str | None, device: str, progress: bool
    ) -> Result:
        """Measure and store.

        Args:
            run: A finished run whose generator and segmenter can be loaded.
            question: The settings.
            name: Of the folder under ``effects/``; None makes one from the question.
            device: Where the models are loaded.
            progress: Show progress bars on stderr.

        Raises:
            DissectError: a mistake in what was given, in one line.
        """

    @abstractmethod
    def headline(self, summary: Summary) -> str:
        """The result in half a line."""

    @abstractmethod
    def describe(self, summary: Summary) -> Description:
        """The result for people."""

    @property
    def verb(self) -> str:
        """What ``share`` is a share of, such as ``net removed``; "" without one."""
        return verb_of(self.share)

    def target(self, summary: Summary) -> Target | None:
        """What became of the concept; None for a study that aims at none."""
        if not self.share:
            return None
        return Target(summary["concept"], self.verb, self.net(summary["target"]))

    def alone(self, effect: "StoredEffect") -> dict[tuple[str, int], Target]:
        """What became of a concept without one unit alone, by layer and unit.

        A set's effect is that of the set, so a unit has one only if nothing else was edited.
        """
        target = self.target(effect.record["summary"])
        layers = self.layers(effect.record["summary"])
        units = [(layer, unit) for layer, own in layers.items() for unit in own]
        return {} if target is None or len(units) != 1 else {units[0]: target}

    def layers(self, summary: Summary) -> dict[str, list[int]]:
        """Layer → the units that were edited together; none where the latent was moved."""
        return {}

    def share_in(self, table: Container[str]) -> str:
        """``share``, or ``gross_share`` where a table of an earlier version has no other column."""
        return self.share if self.share in table else self.gross_share

    def net(self, row: Mapping[str, Any]) -> float | None:
        """The net share of a concept's row; None where it is undefined.

        Effects of version 1 have none; it follows from the pixels before and after.
        """
        if self.share in row or not row["before"]:
            return row.get(self.share)
        change = row["after"] / row["before"] - 1
        return -change if "removed" in self.share else change

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the settings that can be chosen, which are options of the command."""
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
        """The words of a command line that set one setting; none where it has no value."""
        value = question[name]
        if value is None or value in ([], (), False):
            return []
        is_list = isinstance(value, list | tuple)
        text = ",".join(map(str, value)) if is_list else str(value)
        return [self.question.declared[name].flag, text]
