"""Progress bars that update in place, because redrawing a row would lose the keyboard's focus."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from dashboard.components.attributes import aria, data_attributes


@dataclass(frozen=True)
class Progress:
    """Contents of a progress bar.

    Attributes:
        done, total: Progress; a total of 0 means unknown.
        text: Both in words.
    """

    done: int
    total: int
    text: str


def progress_bar(name: str, progress: Progress, *, label: str) -> list[Component]:
    """A bar and its text.

    Args:
        name: Name for ``register_progress``.
        progress: The progress.
        label: Description of the job.
    """
    value, most, words = _values(progress)
    return [
        html.Progress(
            value=value,
            max=most,
            **aria(label=f"Progress of {label}"),
            **data_attributes(progress=name),
        ),
        html.Span(words, className="n", **data_attributes(steps=name)),
    ]


def progress_stores(page: str) -> list[Component]:
    """The stores that ``register_progress`` needs in the layout of a page."""
    return [dcc.Store(id=f"{page}-readings"), dcc.Store(id=f"{page}-moved")]


def register_progress(
    app: Dash, page: str, read: Callable[..., Mapping[str, Progress]], *states: State
) -> None:
    """Update the bars of a page with its interval ``PAGE-tick``.

    They are not outputs of a callback, since they may be gone when its answer comes.

    Args:
        app: The app.
        page: The prefix of the page's ids.
        read: Name → progress, for the values of ``states``.
        *states: States of the page.
    """

    @app.callback(
        Output(f"{page}-readings", "data"),
        Input(f"{page}-tick", "n_intervals"),
        *states,
        prevent_initial_call=True,
    )
    def advance(ticks: object, *given: object) -> dict[str, tuple]:
        return {name: _values(progress) for name, progress in read(*given).items()}

    app.clientside_callback(
        ClientsideFunction("dissect", "moveBars"),
        Output(f"{page}-moved", "data"),
        Input(f"{page}-readings", "data"),
        prevent_initial_call=True,
    )


def _values(progress: Progress) -> tuple[str | None, str, str]:
    if not progress.total:
        return None, "1", progress.text
    return str(progress.done), str(progress.total), progress.text
