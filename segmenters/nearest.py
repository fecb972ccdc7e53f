"""Suggests the known name nearest to a misspelt one."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """``"did you mean 'sky'? "`` with a trailing space, or "" if no name is near.

    Args:
        name: The given value, of any type.
        known: The existing names; case is ignored.

    Example:
        >>> did_you_mean("skye", ["sea", "sky"])
        "did you mean 'sky'? "
    """
    lowered = {one.lower(): one for one in reversed(list(known))}
    near = get_close_matches(str(name)[:200].lower(), lowered, n=1)
    return f"did you mean {lowered[near[0]]!r}? " if near else ""
