"""The settings of a study of units that are inserted at many places."""

from dissect.settings import like, setting
from dissect.studies.unit_question import UnitQuestion

CONTEXT = "context"


class ContextQuestion(UnitQuestion, kw_only=True):
    """At which places a set of units makes a concept appear.

    Raises:
        ConfigError: a setting of a wrong type or out of its range.
    """

    n_samples: int = like(UnitQuestion, "n_samples", default=100)
    draws: int = like(
        UnitQuestion, "draws", default=3, meaning="random sets of the same size to compare with"
    )
    side: int | None = setting(
        "side of a box in pixels of the image; default: an eighth of it, in whole cells of the "
        "layer",
        default=None, at_least=1, metavar="PIXELS",
    )  # fmt: skip
    stride: int | None = setting(
        "pixels from one box to the next; default: the side",
        default=None, at_least=1, metavar="PIXELS",
    )  # fmt: skip
