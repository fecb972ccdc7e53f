"""Random sets of units for comparison with a chosen set: of the same layer, disjoint from it.

A **plain** set has as many units as the chosen one. Units that match a concept often change images
more than others do. So a **matched** set has as many random units as it needs to change the images
as strongly as the chosen set.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from dissect.errors import SettingError
from dissect.latents.sampling import RESAMPLING_STREAMS, stream

MATCHED_DRAWS = 1 << 20
"""First draw number of matched sets, so that they do not repeat the plain ones."""
_ALONE = 8  # units tried alone if the first one is stronger than the chosen set


@dataclass(frozen=True)
class RandomSet:
    """A set of random units.

    Attributes:
        units: Unit numbers, ascending.
        image_change: How strongly it changes images; see ``ImageChange``.
    """

    units: list[int]
    image_change: float

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def random_order(n_units: int, draw: int, *, seed: int) -> list[int]:
    """All units of a layer in the random order of a draw."""
    return stream(seed, RESAMPLING_STREAMS + draw).permutation(n_units).tolist()


def check_size(n_units: int, size: int) -> None:
    """Check that a layer has enough units.

    Raises:
        ConfigError: more units than the layer has.
    """
    if not 1 <= size <= n_units:
        raise SettingError("n_units", f"is {size}; expected from 1 to {n_units}, as the layer has")


def plain_sets(
    n_units: int, chosen: Sequence[int], draws: Iterable[int], *, seed: int
) -> list[list[int]]:
    """Sets of random units that share none with a chosen one.

    Args:
        n_units: Units of the layer.
        chosen: Units to exclude.
        draws: Numbers of the draws, one set each.
        seed: Seed of the draws.

    Returns:
        Sets as large as the chosen one, or of all other units if these are fewer; none if the
        chosen set is the whole layer.
    """
    size = min(len(chosen), n_units - len(chosen))
    if size == 0:
        return []
    return [sorted(_others(n_units, chosen, draw, seed=seed)[:size]) for draw in draws]


def matched_sets(
    change: Callable[[Sequence[int]], float],
    n_units: int,
    chosen: Sequence[int],
    *,
    draws: int,
    seed: int,
) -> tuple[float, list[RandomSet]]:
    """Sets of random other units that change images as strongly as a chosen set does.

    A draw orders the other units at random and takes the first k of them, with k such that the
    image change is closest to that of the chosen set. Bisection finds k, since more units usually
    change more. If the first unit alone changes more, the closest of the first eight units is taken
    alone.

    Args:
        change: Measures how strongly a set of units changes images.
        n_units: Units of the layer.
        chosen: Units to exclude.
        draws: Number of sets.
        seed: Seed of the draws.

    Returns:
        The image change of the chosen set, and the sets; none if it is the whole layer.
    """
    wanted = change(chosen)
    found = []
    for draw in range(draws):
        order = _others(n_units, chosen, MATCHED_DRAWS + draw, seed=seed)
        if not order:
            break
        found.append(_match(change, order, wanted))
    return wanted, found


def _match(
    change: Callable[[Sequence[int]], float], order: Sequence[int], wanted: float
) -> RandomSet:
    known: dict[int, float] = {}

    def of_first(size: int) -> float:
        if size not in known:
            known[size] = change(order[:size])
        return known[size]

    few, many = 1, len(order)  # of_first(few) < wanted ≤ of_first(many), once both are known
    if of_first(few) >= wanted:
        alone = {unit: change([unit]) for unit in order[1:_ALONE]} | {order[0]: known[1]}
        unit = min(alone, key=lambda one: (abs(alone[one] - wanted), order.index(one)))
        return RandomSet([unit], alone[unit])
    if of_first(many) < wanted:
        return RandomSet(sorted(order), known[many])
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (middle, many) if of_first(middle) < wanted else (few, middle)
    size = min(known, key=lambda one: (abs(known[one] - wanted), one))
    return RandomSet(sorted(order[:size]), known[size])


def _others(n_units: int, chosen: Sequence[int], draw: int, *, seed: int) -> list[int]:
    taken = set(chosen)
    return [unit for unit in random_order(n_units, draw, seed=seed) if unit not in taken]
