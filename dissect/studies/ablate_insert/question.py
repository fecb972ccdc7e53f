"""The settings of a study of one set of units at one place."""

from dissect.errors import SettingError
from dissect.settings import setting
from dissect.settings.kinds import any_of
from dissect.studies.orders import ORDERS, PICKED, RANDOM
from dissect.studies.unit_question import LEARNED, UnitQuestion

ABLATE, INSERT = KINDS = ("ablate", "insert")


class SetQuestion(UnitQuestion, kw_only=True):
    """The effect on a concept of ablating or inserting a set of units.

    Raises:
        ConfigError: a setting of a wrong type or out of its range.
    """

    kind: str = setting("what is done to the units", choices=KINDS)
    region: tuple[int, int, int, int] | None = setting(
        "edit only there: top, left, bottom, right in pixels of the image",
        default=None, at_least=0, metavar="TOP,LEFT,BOTTOM,RIGHT",
        expected="four whole numbers of pixels: top, left, bottom, right",
    )  # fmt: skip
    curve: tuple[str, ...] = setting(
        "also measure the effect against the number of units, for these orders and random ones",
        default=(), choices=(*ORDERS, RANDOM, PICKED), metavar="ORDER,…",
        expected=f"some of {any_of([repr(order) for order in (*ORDERS, RANDOM)])}",
    )  # fmt: skip

    def check(self) -> None:
        super().check()
        if PICKED in self.curve and not self.picked:
            raise SettingError("curve", f"has {PICKED!r} but no units are picked; expected some")
        if self.value == LEARNED and self.kind == ABLATE:
            raise SettingError("value", f"is {LEARNED!r}; expected it for units that are inserted")
        if self.value == LEARNED and self.curve:
            raise SettingError(
                "curve",
                f"is given and the value is {LEARNED!r}, which would be learned anew for each "
                "point; expected one of the two",
            )


def share_of(kind: str) -> str:
    """The column of the net share that shows the intended change."""
    return f"net_{gross_share_of(kind)}"


def gross_share_of(kind: str) -> str:
    """The column of pixels with the intended change, without regard to the opposite change."""
    return "removed_share" if kind == ABLATE else "added_share"
