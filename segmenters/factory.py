"""Loads custom objects: ``package.module:factory`` → the object that the factory returns."""

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
        spec: ``package.module:factory``; the working folder is searched first, like ``python -m``.
        protocol: Protocol of the returned object.
        error: Class of the error, one line, if the import fails or the object is another one.
        complete: Called with the object before its check; adds missing optional members.
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
    """Import ``package.module:NAME``; the working folder is searched first, like ``python -m``.

    Args:
        spec: The module and a name in it.
        error: Class of the error, one line, if the import fails.
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
    return error(
        f"{what} and raised {type(cause).__name__}: {reason}; the error is in that function"
    )
