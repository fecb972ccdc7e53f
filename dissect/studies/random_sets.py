"""Random sets of units that a chosen one is compared with: of its layer, disjoint from it.

A **plain** set has as many units as the chosen one. Units that match a concept often change images
more than others do, so **matched** sets hold as many random units as it takes to change the images
as strongly as the chosen set does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from dissect.errors import SettingError
from dissect.latents.sampling import RESAMPLING_STREAMS, stream

MATCHED_DRAWS = 1 << 20
"""Draws from there on are those of matched sets, so that they are not the plain ones again."""
_ALONE = 8  # units that are tried alone where the first one is stronger than the chosen set


@dataclass(frozen=True)
class RandomSet:
    """A set of random units.

    Attributes:
        units: Which, rising.
        image_change: How strongly it changes images, see ``ImageChange``.
    """

    units: list[int]
    image_change: float

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def random_order(n_units: int, draw: int, *, seed: int) -> list[int]:
    """All units of a layer in the order of a draw."""
    return stream(seed, RESAMPLING_STREAMS + draw).permutation(n_units).tolist()


def check_size(n_units: int, size: int) -> None:
    """Refuse more units than a layer has.

    Raises:
        ConfigError: such a size.
    """
    if not 1 <= size <= n_units:
        raise SettingError("n_units", f"is {size}; expected from 1 to {n_units}, as the layer has")


def plain_sets(
    n_units: int, chosen: Sequence[int], draws: Iterable[int], *, seed: int
) -> list[list[int]]:
    """Sets of random units that share none with a chosen one.

    Args:
        n_units: Of the layer.
        chosen: Units that are left out.
        draws: Numbers of the draws, each of which is one set.
        seed: Of the draws.

    Returns:
        Sets of as many units as the chosen one, or of all others where these are fewer; none where
        the chosen set is the layer.
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

    A draw orders the other units at random and takes the first k of them, k such that the images
    change most nearly as the chosen set changes them. It is found by halving, as more units mostly
    change more. Where already the first unit changes more, the one of the first eight that comes
    nearest is taken alone.

    Args:
        change: How strongly a set of units changes images.
        n_units: Of the layer.
        chosen: Units that are left out.
        draws: How many sets.
        seed: Of the draws.

    Returns:
        How strongly the chosen set changes images, and the sets; none where it is the layer.
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
