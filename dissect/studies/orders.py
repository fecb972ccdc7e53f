"""Orders of units: by which rule a set is taken. Declared once, for searches, options and forms."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """A rule by which units are taken.

    Attributes:
        label: For people.
        column: Of the run's table that ranks the units; None where they are searched for.
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
"""Those that the run itself holds → the column of its table."""
SEARCHES = tuple(name for name in ORDERS if name not in MATCHES)
PICKED = "picked"
"""The order of units that somebody chose by hand."""
RANDOM = "random"
"""The order, and the set, of units drawn at random; single draws are called ``random 1``, …"""
MATCHED = "matched"
"""The set of random units that change images as strongly as the chosen ones do."""


def order_label(name: str) -> str:
    """An order for people; an unknown name as it is."""
    if name == PICKED:
        return "chosen by hand"
    return ORDERS[name].label if name in ORDERS else name
