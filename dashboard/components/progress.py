"""Bars that move on without new rows, which would take the keyboard's focus from old ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dash import ALL, Dash, Input, Output, State, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate


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


def progress_bar(page: str, name: str, reading: Reading) -> list[Component]:
    """A bar and its words.

    Args:
        page: The name that ids of the page begin with.
        name: Of what goes on.
        reading: How far it is.
    """
    value, most, words = _values(reading)
    own = {"page": page, "name": name}
    label = {"aria-label": f"Progress of {name}"}
    return [
        html.Progress(id=own | {"part": "bar"}, value=value, max=most, **label),
        html.Span(words, id=own | {"part": "steps"}, className="n"),
    ]


def register_progress(
    app: Dash, page: str, read: Callable[..., Mapping[str, Reading]], *states: State
) -> None:
    """Let the bars of a page move with its interval ``PAGE-tick``.

    Args:
        app: The app.
        page: The name that ids of the page begin with.
        read: Name → how far it is, given the values of ``states``.
        *states: Of the page.
    """
    bar, steps = ({"page": page, "name": ALL, "part": part} for part in ("bar", "steps"))

    @app.callback(
        Output(bar, "value"),
        Output(bar, "max"),
        Output(steps, "children"),
        Input(f"{page}-tick", "n_intervals"),
        State(bar, "id"),
        *states,
        prevent_initial_call=True,
    )
    def advance(ticks: object, bars: object, *given: object) -> tuple[list, list, list]:
        bars = bars if isinstance(bars, list) else []
        names = [one.get("name") for one in bars if isinstance(one, dict)]
        if not names or not all(isinstance(name, str) for name in names):
            raise PreventUpdate
        found = read(*given)
        moved = [_values(found[name]) if name in found else (no_update,) * 3 for name in names]
        return tuple(map(list, zip(*moved, strict=True)))


def _values(reading: Reading) -> tuple[str | None, str, str]:
    if not reading.total:
        return None, "1", reading.told
    return str(reading.done), str(reading.total), reading.told
