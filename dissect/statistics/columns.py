"""The columns of a run's table. Each column is declared once, here.

Everything that shows units derives from a declaration: the table in ``units.parquet``, the rows of
``Run.units``, the terminal, the dashboard's table and orders, the report, and the description of
the column in an export. A unit statistic declares its own columns; see
``dissect.statistics.units``.
"""

from dataclasses import dataclass
from enum import Enum

from dissect.statistics.ladder import RUNGS


class Of(Enum):
    """What a value belongs to."""

    PAIR = "pair"
    """A unit and a concept."""
    UNIT = "unit"
    """The unit and its label; the same in every row of the unit."""
    ROW = "row"
    """The column identifies the row or its unit."""


class Place(Enum):
    """Where a column is shown."""

    LABELS = "labels"
    """Rows of ``Run.units`` and ``Run.pairs``, and exports."""
    TERMINAL = "terminal"
    DASHBOARD = "dashboard"
    REPORT = "report"
    PAPER = "paper"
    """A LaTeX table of few columns."""


EVERYWHERE = frozenset(Place) - {Place.PAPER}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a run's table.

    Attributes:
        name: Name in tables and files.
        title: Title shown to people, in lower case except for proper names.
        meaning: One phrase without a full stop.
        of: What a value belongs to.
        digits: Format of a number, as in a format string; "" for truth values.
        falling: Whether sorting by it puts large values first; None where sorting by it has no
            meaning.
        places: Where it is shown.
        words: Names of its integer values, from 0; empty if they have none.
        since: First schema version of runs in which every run has it.
        until: Last schema version that has it; None if the current one does.
        sort: Name and title of the order by it; those of the column if empty.
        full: Longer title, used where there is room; the title if empty.
        key: Its name in the data of a report; the name if empty.
    """

    name: str
    title: str
    meaning: str
    of: Of = Of.UNIT
    digits: str = ".2f"
    falling: bool | None = True
    places: frozenset[Place] = EVERYWHERE
    words: tuple[str, ...] = ()
    since: int = 1
    until: int | None = None
    sort: tuple[str, str] = ("", "")
    full: str = ""
    key: str = ""

    @property
    def is_flag(self) -> bool:
        """Whether values are true or false."""
        return not self.digits

    @property
    def heading(self) -> str:
        """Its title at the head of a column or a line."""
        return _capital(self.title)

    @property
    def heading_in_full(self) -> str:
        """Its title where there is room for more."""
        return _capital(self.full or self.title)

    @property
    def sort_name(self) -> str:
        """Name of the order by it, as used in addresses."""
        return self.sort[0] or self.name.replace("_", "-")

    @property
    def sort_title(self) -> str:
        """Title of the order by it."""
        return self.sort[1] or self.heading

    @property
    def report_key(self) -> str:
        """Its name in the data of a report."""
        return self.key or self.name


_LABELS = frozenset({Place.LABELS})

ROW_COLUMNS = (
    Column(
        name="layer", title="layer", of=Of.ROW, digits="",
        meaning="layer of the generator, or layer@basis",
    ),
    Column(
        name="unit", title="unit", of=Of.ROW, digits="d",
        meaning="coordinate of the layer, from 0",
    ),
    Column(
        name="concept", title="concept", of=Of.ROW, digits="",
        meaning="the concept that the row compares the unit with; without --concept the one that "
        "the unit is most informative about",
    ),
    Column(
        name="category", title="category", of=Of.ROW, digits="",
        meaning="object, part, material, colour or attribute",
    ),
)  # fmt: skip
"""The columns that identify a row of the table."""

NAMED = Column(
    name="named", title="named", of=Of.ROW, digits="",
    meaning="the concept that the unit is named after, empty if it is not named",
)  # fmt: skip
STANDS_FOR = Column(
    name="stands_for", title="stands for", of=Of.ROW, digits="", places=frozenset(),
    meaning="what the unit itself stands for, such as a word of a prompt; only where units of a "
    "layer have such names",
)  # fmt: skip
"""Known from the generator, not measured."""
IS_LABEL = Column(
    name="is_label", title="is label", of=Of.ROW, digits="", places=frozenset(),
    meaning="whether the row's concept is the one that the unit is most informative about",
)  # fmt: skip

IS_NAMED = Column(
    name="is_named", title="is named", of=Of.UNIT, digits="", falling=None, places=frozenset(),
    meaning="whether the unit is named after its label; in a run that knows no such rung, whether "
    "it matches it",
)  # fmt: skip
"""Derived when a run is read."""

CORE = (
    Column(
        name="iou", title="IoU", of=Of.PAIR, places=frozenset(Place),
        meaning="intersection over union on the evaluation fold, 0 to 1",
    ),
    Column(
        name="iou_low", title="IoU from", of=Of.PAIR, falling=None, places=_LABELS, key="low",
        meaning="lower bound of the 95 % interval of iou over clusters of samples",
    ),
    Column(
        name="iou_high", title="IoU to", of=Of.PAIR, falling=None, places=_LABELS, key="high",
        meaning="upper bound of the same",
    ),
    Column(
        name="chance", title="chance", of=Of.PAIR, places=frozenset(Place),
        meaning="the iou that chance gives, the higher of chance_shuffled and chance_areas",
    ),
    Column(
        name="chance_shuffled", title="chance by place", of=Of.PAIR, places=_LABELS, since=2,
        meaning="iou with the masks of other images: where such things usually are",
    ),
    Column(
        name="chance_areas", title="chance by area", of=Of.PAIR, places=_LABELS, since=2,
        meaning="iou of a map that knows how much of the concept each image holds, but not where",
    ),
    Column(
        name="over_chance", title="over chance", of=Of.PAIR, key="over",
        places=frozenset({Place.LABELS, Place.DASHBOARD, Place.REPORT}),
        sort=("over-chance", "IoU over chance"),
        meaning="(iou - chance) / (1 - chance)",
    ),
    Column(
        name="p_value", title="p", of=Of.PAIR, digits=".2g", falling=False, places=frozenset(),
        meaning="of iou against both kinds of chance",
    ),
    Column(
        name="q_value", title="false discovery", full="False discovery rate q", digits=".2g",
        falling=False, key="q", sort=("certainty", "Certainty"),
        places=frozenset({Place.LABELS, Place.DASHBOARD, Place.REPORT}),
        meaning="false discovery rate at which the unit's own label is still a find",
    ),
    Column(
        name="same_in_halves", title="halves agree", full="Both halves agree", digits="",
        falling=None, key="halves", places=frozenset({Place.LABELS, Place.REPORT}),
        meaning="whether both halves of the evaluation fold give the unit the same label",
    ),
    Column(
        name="threshold", title="threshold", of=Of.PAIR, digits=".4g", falling=None,
        places=frozenset({Place.LABELS, Place.REPORT}),
        meaning="activation above which the unit counts as on",
    ),
    Column(
        name="information_quality_ratio", title="IQR", full="Information quality", of=Of.PAIR,
        key="information", places=frozenset({Place.LABELS, Place.TERMINAL, Place.REPORT}),
        meaning="I(A;C) / H(A,C), 0 to 1",
    ),
    Column(
        name="excess_information", title="excess information", of=Of.PAIR, key="excess",
        places=_LABELS, sort=("clearest", "Clearest"),
        meaning="the same less its level by chance; negative if avoided",
    ),
    Column(
        name="precision", title="precision", of=Of.PAIR, places=frozenset(Place),
        meaning="share of the unit's mask that is the concept",
    ),
    Column(
        name="recall", title="recall", of=Of.PAIR, places=frozenset(Place),
        meaning="share of the concept that the unit's mask covers",
    ),
    Column(
        name="rung", title="rung", since=2, places=frozenset({Place.LABELS, Place.TERMINAL}),
        words=tuple(rung.name for rung in RUNGS), digits=".0f", sort=("rung", "Rung"),
        meaning="how much is known of the unit and its label: 0 no match, 1 matches (beyond both "
        "kinds of chance), 2 named (and its own pictures show it)",
    ),
    Column(
        name="selective", title="selective", digits="", falling=None, since=2, places=_LABELS,
        meaning="whether it would be named if its layer had no mixtures to be compared with",
    ),
    Column(
        name="top_share", title="top images", full="Top images that the label fills", since=2,
        key="top", places=EVERYWHERE, sort=("top-images", "Top images"),
        meaning="share of the unit's top images in which its label fills at least half of what it "
        "outlines",
    ),
    Column(
        name="top_low", title="top images from", falling=None, since=2, places=_LABELS,
        meaning="lower bound of the 95 % interval of top_share",
    ),
    Column(
        name="top_high", title="top images to", falling=None, since=2, places=_LABELS,
        meaning="upper bound of the same",
    ),
    Column(
        name="runner_up_share", title="runner-up", full="Runner-up's share", falling=False, since=2,
        key="runner", places=frozenset({Place.LABELS, Place.REPORT}),
        sort=("runner-up", "Runner-up"),
        meaning="excess information about the second best concept over that about the label",
    ),
    Column(
        name="mixtures_below", title="above mixtures", full="Above random mixtures", since=2,
        key="above", places=frozenset({Place.LABELS, Place.DASHBOARD, Place.REPORT}),
        sort=("mixtures", "Above mixtures"),
        meaning="share of the layer's random mixtures that are less informative about the unit's "
        "label",
    ),
    Column(
        name="interpretable", title="interpretable", digits="", falling=None, until=1,
        places=frozenset(),
        meaning="whether the unit matched its label beyond the masks of other images",
    ),
)  # fmt: skip
"""Columns that ``dissect.runs.results`` computes from the joint counts."""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
