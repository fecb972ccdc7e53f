"""Questions that a study answers: which units, over how many samples, compared with what.

A question is one frozen value whose fields are declared once; the command line, the dashboard and
``recipe.json`` have the same ones. Imports nothing heavy.
"""

from dissect.errors import ConfigError, SettingError
from dissect.settings import Settings, like, setting
from dissect.settings.kinds import any_of

MATCHES = {"iou": "iou", "excess": "excess_information"}
"""Orders that the run itself holds → the column of its table."""
SEARCHES = ("sweep", "greedy", "optimise")
ORDERS = (*MATCHES, *SEARCHES)
"""Orders from which a set of units can be taken."""
PICKED = "picked"
"""The order of units that somebody chose by hand."""
RANDOM = "random"
"""The set that is the mean of all random draws; single ones are called ``random 1``, …"""
MEAN = "mean"
"""The ``value`` that holds each unit at its mean where the concept is."""
KINDS = ("ablate", "insert")


class UnitQuestion(Settings, kw_only=True):
    """Which units of one layer, and over how many samples.

    Raises:
        ConfigError: a setting of a wrong type or out of its range, an unknown name.
    """

    concept: str = setting("concept whose pixels should go, or come")
    layer: str | None = setting(
        "layer of the run; default: the one whose units tell most about the concept", default=None
    )
    n_units: int = setting("number of units in the set", default=20, at_least=1, flag="--units")
    order: str = setting(
        "which units are taken: those that match best, or those that a search finds",
        default="iou", choices=(*ORDERS, PICKED), metavar="|".join(ORDERS),
        expected=any_of([repr(order) for order in ORDERS]),
    )  # fmt: skip
    n_samples: int = setting(
        "samples that are measured, from the run's first", default=500, at_least=2, flag="--samples"
    )
    n_search: int = setting(
        "further samples, for searches and the inserted mean",
        default=64, at_least=2, flag="--search", metavar="SAMPLES",
    )  # fmt: skip
    n_candidates: int | None = setting(
        "units that sweep and greedy try, those with most excess information; default: four times "
        "--units, at least 64",
        default=None, at_least=1, flag="--candidates", metavar="UNITS",
    )  # fmt: skip
    draws: int = setting("random sets of the same size to compare with", default=5, at_least=0)
    value: str = setting(
        "value at which units are held: mean, where the concept is, or a quantile such as q0.99",
        default=MEAN, pattern=rf"{MEAN}|q0?\.\d*[1-9]\d*",
        expected="mean, or a quantile such as q0.99",
    )  # fmt: skip
    picked: tuple[int, ...] = setting(
        "exactly these units of --layer, instead of --units by --order",
        default=(), at_least=0, flag="--pick", metavar="UNIT,…",
        expected="different numbers of units, from 0 on, such as 3,17",
        details="In the order in which a curve takes them; ``n_units`` and ``order`` follow.",
    )  # fmt: skip

    def check(self) -> None:
        if not self.picked:
            if self.order == PICKED:
                raise SettingError("order", f"is {PICKED!r} but no units are picked; expected some")
            return
        if len(set(self.picked)) < len(self.picked):
            raise SettingError(
                "picked",
                f"is {', '.join(map(str, self.picked[:20]))}; expected different numbers of units, "
                "from 0 on",
            )
        if self.layer is None:
            raise ConfigError("units were picked but no layer was given; expected theirs")
        object.__setattr__(self, "n_units", len(self.picked))
        object.__setattr__(self, "order", PICKED)


class EffectQuestion(UnitQuestion, kw_only=True):
    """What ablating or inserting units does to every concept.

    Raises:
        ConfigError: a setting of a wrong type or out of its range, an unknown name.
    """

    kind: str = setting("what is done to the units", choices=KINDS)
    region: tuple[int, int, int, int] | None = setting(
        "edit only there: top, left, bottom, right in pixels of the image",
        default=None, at_least=0, metavar="TOP,LEFT,BOTTOM,RIGHT",
        expected="four whole numbers of pixels: top, left, bottom, right",
    )  # fmt: skip
    curve: tuple[str, ...] = setting(
        "also plot the effect against the number of units, for these orders and random ones",
        default=(), choices=(*ORDERS, RANDOM, PICKED), metavar="ORDER,…",
        expected=f"some of {any_of([repr(order) for order in (*ORDERS, RANDOM)])}",
    )  # fmt: skip

    def check(self) -> None:
        super().check()
        if PICKED in self.curve and not self.picked:
            raise SettingError("curve", f"has {PICKED!r} but no units are picked; expected some")


class ContextQuestion(UnitQuestion, kw_only=True):
    """What units draw at many places, grouped by what was there.

    Raises:
        ConfigError: a setting of a wrong type or out of its range, an unknown name.
    """

    n_samples: int = like(UnitQuestion, "n_samples", default=100)
    draws: int = like(UnitQuestion, "draws", default=1)
    side: int | None = setting(
        "side of a box in pixels of the image; default: an eighth of it, in whole cells of the "
        "layer",
        default=None, at_least=1, metavar="PIXELS",
    )  # fmt: skip
    stride: int | None = setting(
        "pixels from one box to the next; default: the side",
        default=None, at_least=1, metavar="PIXELS",
    )  # fmt: skip


def read_marked_units(text: str) -> tuple[tuple[str, int], ...]:
    """(layer, unit) pairs of ``LAYER:UNIT,…``.

    Raises:
        ValueError: another text.

    Example:
        >>> read_marked_units("b16.conv1:3,7")
        (('b16.conv1', 3), ('b16.conv1', 7))
    """
    layer, _, units = text.rpartition(":")
    marked = tuple((layer, int(unit)) for unit in units.split(","))
    if not layer or min(unit for _, unit in marked) < 0:
        raise ValueError(text)
    return marked


class RepairQuestion(Settings):
    """Which units draw what real images do not have.

    Raises:
        ConfigError: a setting of a wrong type or out of its range, an unknown name, or both ``bad``
            and ``layer``.
    """

    data: str | None = setting(
        "folder of real images, PNG, JPEG or WebP; or scenes, the drawn ones (default: scenes for "
        "the generators that were trained on them)",
        default=None, metavar="FOLDER",
    )  # fmt: skip
    bad: tuple[tuple[str, int], ...] = setting(
        "take these units, whose images you judged bad, instead of a search; repeatable",
        default=(), at_least=0, metavar="LAYER:UNIT,…", reader=read_marked_units, repeated=True,
        expected="a layer and units of it, such as b16.conv1:3,7",
    )  # fmt: skip
    layer: str | None = setting("search only this layer; default: all of the run", default=None)
    n_units: int = setting("most units to propose", default=20, at_least=1, flag="--units")
    n_samples: int = like(UnitQuestion, "n_samples", default=500)
    n_search: int = setting(
        "further samples on which suspects are tried",
        default=128, at_least=2, flag="--search", metavar="SAMPLES",
    )  # fmt: skip
    n_candidates: int = setting(
        "suspects that are tried", default=24, at_least=1, flag="--candidates", metavar="UNITS"
    )
    draws: int = setting("random sets to compare with", default=5, at_least=0)

    def check(self) -> None:
        object.__setattr__(self, "bad", tuple(dict.fromkeys(self.bad)))
        if self.bad and self.layer is not None:
            raise ConfigError(
                "both marked units and a layer to search were given; expected one of the two"
            )


class StudyOptions(Settings, kw_only=True):
    """How a study is measured and where it is stored.

    Raises:
        ConfigError: an option of a wrong type, an unknown name.
    """

    name: str | None = setting(
        "name of its folder under RUN/effects; default: made from the question", default=None
    )
    device: str = setting("where the models run, such as cuda", default="cpu")
    progress: bool = setting("show progress bars on stderr", default=True)
