"""Lazy imports: names of a package that are imported on first use."""

import importlib
from collections.abc import Callable, Mapping


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """The ``__all__``, ``__getattr__`` and ``__dir__`` of a package (PEP 562).

    The package repeats the names as imports under ``TYPE_CHECKING``, and calls this function under
    ``else``. So an editor completes them and a type checker reports a name that does not exist.

    Args:
        package: Its name.
        homes: Public name → module that defines it.
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return list(homes), get, lambda: sorted(homes)
