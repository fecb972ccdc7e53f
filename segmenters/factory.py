"""User-defined objects: ``package.module:factory`` → the object that the factory returns."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segmenters.errors import DissectError


def call_factory(
    spec: str,
    *,
    protocol: type,
    error: type[DissectError],
    complete: Callable[[Any], None] | None = None,
) -> Any:
    """Import and call a factory that takes no arguments.

    Args:
        spec: ``package.module:factory``; the working folder is searched first, as by ``python -m``.
        protocol: What the factory has to return.
        error: Raised, in one line, where it cannot be imported or returns something else.
        complete: Called with the object before its check; adds optional members that it lacks.
    """
    factory_name = spec.partition(":")[2]
    factory = import_target(spec, error=error)
    try:
        made = factory()
    except DissectError:
        raise
    except Exception as cause:
        raise _failed(error, f"{spec!r} failed: {factory_name}() was called", cause) from cause
    if complete is not None:
        complete(made)
    if not isinstance(made, protocol):
        hint = ""
        if callable(getattr(made, "named_modules", None)):  # a network alone
            hint = "; give dissect.wrap(module, sample=SHAPE) for a network that makes images"
        raise error(
            f"{spec!r} gave a {type(made).__name__}; expected an object that follows the "
            f"{protocol.__name__} protocol{hint}"
        )
    return made


def import_target(spec: str, *, error: type[DissectError]) -> Any:
    """What ``package.module:NAME`` is; the working folder is searched first, as by ``python -m``.

    Args:
        spec: The module and a name in it.
        error: Raised, in one line, where it cannot be imported.
    """
    module_name, _, name = spec.partition(":")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as cause:
        raise error(
            f"{spec!r} cannot be imported ({cause}); expected package.module:factory"
        ) from cause
    except Exception as cause:
        raise _failed(error, f"{spec!r} failed: {module_name} was imported", cause) from cause
    finally:
        sys.path.remove(folder)


def _failed(error: type[DissectError], what: str, cause: Exception) -> DissectError:
    reason = " ".join(str(cause).split())[:200]
    return error(f"{what} and raised {type(cause).__name__}: {reason}; it is to be mended there")
