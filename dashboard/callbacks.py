"""Errors of callbacks: a user's error is shown on the page, a fault is logged."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

from dash import html
from dash.development.base_component import Component, ComponentType
from dash.exceptions import PreventUpdate

from dashboard import context
from dashboard.paths import within
from dissect.errors import ConfigError, DissectError

log = logging.getLogger("dashboard")


Given = ParamSpec("Given")


def shows_errors(answer: Callable[Given, ComponentType]) -> Callable[Given, ComponentType]:
    """Wrap a callback whose only output is the children of a component."""

    @functools.wraps(answer)
    def guarded(*arguments: Given.args, **named: Given.kwargs) -> ComponentType:
        try:
            return answer(*arguments, **named)
        except PreventUpdate:
            raise
        except DissectError as error:
            return problem(error)
        except Exception:
            log.exception("callback %s failed", answer.__name__)
            return problem("This failed; the log of the server says why.")

    return guarded


def problem(mistake: Exception | str) -> Component:
    """An error as a line on the page."""
    line = mistake if isinstance(mistake, str) else line_of(mistake)
    return html.P(line, className="failed", role="alert")


def line_of(mistake: Exception) -> str:
    """The message of an error; paths start at the folder of runs."""
    return within(str(mistake), context.current().store.root)


def text(given: object) -> str:
    """Check that a browser's value is a text.

    Raises:
        ConfigError: another type.
    """
    if not isinstance(given, str):
        raise ConfigError(f"this is a {type(given).__name__}; expected a text; reload the page")
    return given
