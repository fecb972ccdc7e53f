"""Orders of units: the rules that rank units for a set, for searches, options and forms."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """A rule that ranks units.

    Attributes:
        label: Label shown to people.
        column: Column of the run's table that ranks the units; None if a search does.
    """

    label: str
    column: str | None = None


ORDERS = {
    "iou": Order("best match (IoU)", "iou"),
    "excess": Order("best match over chance", "excess_information"),
    "sweep": Order("tried one by one"),
    "greedy": Order("searched as a set"),
    "optimise": Order("learned as a set"),
}
"""The orders that can be chosen, by name."""
MATCHES = {name: order.column for name, order in ORDERS.items() if order.column is not None}
"""Orders that the run itself contains → the column of its table."""
SEARCHES = tuple(name for name in ORDERS if name not in MATCHES)
PICKED = "picked"
"""The order of units that a person chose."""
RANDOM = "random"
"""Name of the order, and the set, of random units; single draws are ``random 1``, …"""
MATCHED = "matched"
"""The set of random units that change images as strongly as the chosen ones."""


def order_label(name: str) -> str:
    """The label of an order; an unknown name is returned unchanged."""
    if name == PICKED:
        return "chosen by hand"
    return ORDERS[name].label if name in ORDERS else name
