"""The settings shared by all questions about a set of units. Nothing in here imports torch."""

from dataclasses import asdict

from dissect.errors import ConfigError, SettingError
from dissect.settings import Settings, setting
from dissect.settings.kinds import any_of
from dissect.studies.names import default_name
from dissect.studies.orders import ORDERS, PICKED

MEAN = "mean"
"""The default insertion value: the mean of a unit where the concept is."""
LEARNED = "learned"
"""Values found by gradient descent (``dissect.studies.learned_values``)."""
LARGEST_SHARE = 0.25
"""Share of a layer's units. A larger set changes the layer as a whole, for any choice of units."""
EXPECTED_VALUE = "mean, learned, or a quantile such as q0.99"
_USUAL = 20  # default number of units of a set
_LEAST = 4  # least units of a set when its layer is chosen automatically


def usual_size(n_layer: int) -> int:
    """Default number of units for a layer: 20, at most a quarter of it, at least 1."""
    return max(1, min(_USUAL, int(LARGEST_SHARE * n_layer)))


def wide_enough(n_units: int | None) -> int:
    """Least units of a layer for which a set of ``n_units`` is at most a quarter of it."""
    return int((n_units or _LEAST) / LARGEST_SHARE)


class UnitQuestion(Settings, kw_only=True):
    """The units of a layer, the concept, and the number of samples.

    Raises:
        ConfigError: a setting of a wrong type or out of its range, units picked without a layer.
    """

    concept: str = setting("concept whose pixels should go, or come")
    layer: str | None = setting(
        "layer of the run; default: the one whose units match the concept best, among those of "
        "which the set is at most a quarter", default=None,
    )  # fmt: skip
    n_units: int | None = setting(
        "number of units in the set; default: 20, at most a quarter of the layer",
        default=None, at_least=1, flag="--units",
    )  # fmt: skip
    order: str = setting(
        "which units are taken: those that match best, or those that a search finds",
        default="iou", choices=(*ORDERS, PICKED), metavar="|".join(ORDERS),
        expected=any_of([repr(order) for order in ORDERS]),
    )  # fmt: skip
    n_samples: int = setting(
        "number of samples to measure, from the run's first",
        default=500,
        at_least=2,
        flag="--samples",
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
    draws: int = setting(
        "random sets to compare with, as many of the same size as of the same strength",
        default=5, at_least=0,
    )  # fmt: skip
    value: str = setting(
        "value at which units are held: mean, where the concept is, a quantile such as q0.99, or "
        "learned, by gradient descent on --search samples",
        default=MEAN, pattern=rf"{MEAN}|{LEARNED}|q0?\.\d*[1-9]\d*", expected=EXPECTED_VALUE,
    )  # fmt: skip
    picked: tuple[int, ...] = setting(
        "exactly these units of --layer, instead of --units by --order",
        default=(), at_least=0, flag="--pick", metavar="UNIT,…",
        expected="different numbers of units, from 0 on, such as 3,17",
        details="In the order in which a curve takes them; ``n_units`` and ``order`` follow.",
    )  # fmt: skip
    second: str | None = setting(
        "a second segmenter, which reads unedited and edited images too", default=None,
        metavar="SEGMENTER",
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

    def to_json(self, layer: str) -> dict[str, object]:
        """The settings as stored in recipe.json.

        Args:
            layer: The layer that was given or found.
        """
        question = asdict(self) | {"layer": layer}
        for name in ("picked", "second"):  # earlier versions had none
            if not question[name]:
                del question[name]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in question.items()
        }

    def folder_name(self, kind: str, layer: str) -> str:
        """The name of the effect if none is given."""
        units = ["units", *self.picked] if self.picked else [self.n_units, self.order]
        return default_name(kind, self.concept, layer, *units)
