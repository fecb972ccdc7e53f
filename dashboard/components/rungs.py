"""Display of rungs of evidence: a mark with a colour and a word, and the head of a run."""

from dash import dcc, html
from dash.development.base_component import Component, ComponentType

from dashboard.components.units import counted
from dashboard.links import run_href
from dashboard.pairs import labels_of
from dashboard.rungs import rung_counts
from dashboard.store import OpenRun
from dashboard.unit_filter import UnitFilter
from dissect.runs.summary import compare_axes, output_layers
from dissect.statistics.ladder import CAUSAL, MATCHES, NAMED, RUNGS


def rung_mark(number: int, label: str = "") -> Component:
    """A rung's dot and word; ``label`` can replace the word, for example in a layer's count."""
    rung = RUNGS[number]
    return html.Span(
        [html.Span(className="rung-dot"), label or rung.name],
        className="rung",
        title=rung.meaning,
        style={"--rung": rung.colour},
    )


def rung_tiles(opened: OpenRun) -> Component:
    """Number of units on each rung, and whether units stand out among random mixtures."""
    counts = rung_counts(opened)
    units = run_href(opened.id, "units")
    every = f"of {counted(counts.units, 'unit')}"
    tried: ComponentType = f"of {counted(counts.tried, 'named unit')} ablated alone"
    if counts.causal is None:
        tried = "Not measured yet: dissect causal does."
    named = "This run does not know it." if counts.named is None else every
    rows = [
        _tile(MATCHES, counts.matches, counts.units, every, units, "matches"),
        _tile(NAMED, counts.named, counts.units, named, units, "named"),
        _tile(CAUSAL, counts.causal, counts.units, tried, units, "causal"),
        _axes(opened),
    ]
    return html.Ul(rows, className="tiles")


def _tile(
    number: int, count: int | None, units: int, below: ComponentType, href: str, certainty: str
) -> Component:
    style = {
        "--rung": RUNGS[number].colour,
        "--share": f"{100 * (count or 0) / max(units, 1):.2f}%",
    }
    number_of = html.B("–" if count is None else f"{count:,}", className="tile-number")
    query = UnitFilter(certainty=certainty).to_query()
    return html.Li(
        [
            rung_mark(number),
            dcc.Link(number_of, href=href + query) if count else number_of,
            html.Span(className="tile-bar"),
            html.Span(below, className="quiet"),
        ],
        style=style,
        className="tile",
    )


def _axes(opened: OpenRun) -> Component:
    """Whether the units stand out among random mixtures of their layers."""
    run = opened.run
    outputs = set(output_layers(run))
    inner = [layer for layer in run.layers if layer not in outputs] or list(run.layers)
    labels = labels_of(opened)
    units = lambda layer: labels[labels.layer == layer]  # noqa: E731 - two words of a question
    found = opened.once("axes", lambda: compare_axes(run, inner, units))
    title = html.Span("Axes or mixtures?", className="rung")
    if found is None:
        none = html.Span("No random mixtures were read beside the units.", className="quiet")
        return html.Li([title, html.B("–", className="tile-number"), none], className="tile")
    verdict = "Axes stand out" if found.stand_out else "Axes do not stand out"
    mixed = found.by_mixture
    most = max(found.selective, mixed.high, 1.0)
    style = {
        "--share": f"{100 * found.selective / most:.2f}%",
        "--low": f"{100 * mixed.low / most:.2f}%",
        "--wide": f"{100 * (mixed.high - mixed.low) / most:.2f}%",
    }
    told = (
        f"{found.selective:,} units show what they match; of as many random mixtures "
        f"{mixed.value:.0f} [{mixed.low:.0f}, {mixed.high:.0f}] would"
    )
    return html.Li(
        [
            title,
            html.B(verdict, className="tile-number word"),
            html.Span(html.Span(className="tile-interval"), className="tile-bar"),
            html.Span(told, className="quiet"),
        ],
        style=style,
        className="tile axes",
    )
