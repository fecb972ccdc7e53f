"""Attributes of HTML whose names hold a hyphen, as keyword arguments of Dash's components."""

from typing import Any


def aria(**values: str) -> dict[str, Any]:
    """Attributes for assistive technology, ``aria-label`` and the like.

    Dash passes on every ``aria-*`` and ``data-*`` and declares none, so they come as a dictionary.

    Example:
        >>> aria(label="Top images")
        {'aria-label': 'Top images'}
    """
    return {f"aria-{name}": value for name, value in values.items()}


def aria_of(part: str, **values: str) -> dict[str, Any]:
    """The same for a part of a component, such as the ``clearButtonProps`` of a field."""
    return {part: aria(**values)}


def data_attributes(**values: object) -> dict[str, Any]:
    """Attributes that scripts of a page and tests read, ``data-concept`` and the like."""
    return {f"data-{name}": value for name, value in values.items()}
