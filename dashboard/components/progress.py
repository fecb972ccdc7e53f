"""Bars that move on without new rows, which would take the keyboard's focus from old ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component


@dataclass(frozen=True)
class Reading:
    """What a bar shows.

    Attributes:
        done, total: How far it is; a total of 0 where the end is not known.
        told: Both in words.
    """

    done: int
    total: int
    told: str


def progress_bar(name: str, reading: Reading, *, label: str) -> list[Component]:
    """A bar and its words.

    Args:
        name: By which ``register_progress`` finds it.
        reading: How far it is.
        label: What it belongs to, in words.
    """
    value, most, words = _values(reading)
    attributes = {"aria-label": f"Progress of {label}", "data-progress": name}
    return [
        html.Progress(value=value, max=most, **attributes),
        html.Span(words, className="n", **{"data-steps": name}),
    ]


def progress_stores(page: str) -> list[Component]:
    """What ``register_progress`` needs in the layout of a page."""
    return [dcc.Store(id=f"{page}-readings"), dcc.Store(id=f"{page}-moved")]


def register_progress(
    app: Dash, page: str, read: Callable[..., Mapping[str, Reading]], *states: State
) -> None:
    """Let the bars of a page move with its interval ``PAGE-tick``.

    They are no outputs of a callback, since they may be gone when its answer comes.

    Args:
        app: The app.
        page: The name that ids of the page begin with.
        read: Name → how far it is, given the values of ``states``.
        *states: Of the page.
    """

    @app.callback(
        Output(f"{page}-readings", "data"),
        Input(f"{page}-tick", "n_intervals"),
        *states,
        prevent_initial_call=True,
    )
    def advance(ticks: object, *given: object) -> dict[str, tuple]:
        return {name: _values(reading) for name, reading in read(*given).items()}

    app.clientside_callback(
        ClientsideFunction("dissect", "moveBars"),
        Output(f"{page}-moved", "data"),
        Input(f"{page}-readings", "data"),
        prevent_initial_call=True,
    )


def _values(reading: Reading) -> tuple[str | None, str, str]:
    if not reading.total:
        return None, "1", reading.told
    return str(reading.done), str(reading.total), reading.told
