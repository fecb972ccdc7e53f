"""HTML attributes with a hyphen in their names, as keyword arguments of Dash's components."""

from typing import Any


def aria(**values: str) -> dict[str, Any]:
    """Attributes for assistive technology, ``aria-label`` and the like.

    Dash accepts any ``aria-*`` and ``data-*`` but declares none, so this returns a dictionary.

    Example:
        >>> aria(label="Top images")
        {'aria-label': 'Top images'}
    """
    return {f"aria-{name}": value for name, value in values.items()}


def aria_of(part: str, **values: str) -> dict[str, Any]:
    """The same for a part of a component, such as the ``clearButtonProps`` of a field."""
    return {part: aria(**values)}


def data_attributes(**values: object) -> dict[str, Any]:
    """``data-*`` attributes, such as ``data-concept``, for scripts of the page and tests."""
    return {f"data-{name}": value for name, value in values.items()}
