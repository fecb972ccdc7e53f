"""Base class of studies of a set of units of one layer."""

from collections.abc import Mapping
from typing import Any, TypeVar

from dissect.studies.study import Study, Summary
from dissect.studies.unit_question import UnitQuestion

_Question = TypeVar("_Question", bound=UnitQuestion)


class UnitStudy(Study[_Question]):
    """A study whose question is a ``UnitQuestion``."""

    def layers(self, summary: Summary) -> dict[str, list[int]]:
        """Layer → the units that were edited."""
        return {summary["layer"]: summary["units"]}

    def words(self, name: str, question: Mapping[str, Any]) -> list[str]:
        """See ``Study.words``; chosen unit numbers replace the number and the order."""
        if question.get("picked") and name in ("n_units", "order"):
            return []
        return super().words(name, question)
