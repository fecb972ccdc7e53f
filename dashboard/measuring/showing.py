"""A measured effect as a part of a page."""

import math
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.units import bar, empty, facts, swatch, two
from dashboard.links import run_href, unit_href
from dashboard.rendering.asking import to_uri
from dissect.errors import DissectError
from dissect.interventions.store import effect_names, open_effect
from dissect.interventions.telling import describe_effect, headline
from dissect.runs import Run

_LARGEST = 8 * 1024 * 1024
_MOST_ROWS = 12
_PICTURES = (
    ("sheet.png", "image/png", "Before, after, difference"),
    ("curve.svg", "image/svg+xml", "Effect against the number of units, with random ones"),
    ("contexts.svg", "image/svg+xml", "What comes where"),
)
_DAMAGE = (DissectError, KeyError, TypeError, ValueError, IndexError)


def effect_list(run: Run, run_id: str) -> Component:
    """Every effect of a run in a line, with a link to it."""
    rows = []
    for name in effect_names(run):
        href = f"{run_href(run_id, 'effects')}?{urlencode({'name': name})}"
        try:
            told = html.Span(headline(open_effect(run, name).record["summary"]))
        except _DAMAGE as error:
            told = html.Span(f"cannot be shown: {error}", className="failed")
        rows.append(html.Li([dcc.Link(name, href=href), told]))
    if not rows:
        return empty("Nothing was measured on this run yet; the form below does it.")
    return html.Ul(rows, className="rows")


def one_effect(run: Run, run_id: str, name: str) -> Component:
    """An effect with its numbers, side effects and pictures."""
    try:
        effect = open_effect(run, name)
        told = _told(effect.record["summary"], run, run_id)
    except _DAMAGE as error:
        return html.P(str(error), role="alert", className="failed")
    pictures = [
        html.Figure([html.Figcaption(title), html.Img(src=to_uri(data, kind), alt=title)])
        for file, kind, title in _PICTURES
        if (data := _picture(effect.path / file)) is not None
    ]
    return html.Section(
        [html.H2(name), html.Div([html.Div(told), html.Div(pictures)], className="two")]
    )


def _told(summary: Mapping[str, object], run: Run, run_id: str) -> list[Component]:
    kind = summary["kind"]
    if kind not in ("ablate", "insert"):
        words = describe_effect(summary)
        return [html.Pre(words, tabIndex=0, **{"aria-label": "Effect in words"})]
    verb = "removed" if kind == "ablate" else "added"
    concept, target, random = summary["concept"], summary["target"], summary["random"]
    share, low, high, chance = (
        _number(row.get(f"{verb}_share{end}")) if row else math.nan
        for row, end in ((target, ""), (target, "_low"), (target, "_high"), (random, ""))
    )
    colours = {one.name: one.colour for one in run.vocabulary}
    units = [
        part
        for unit in summary["units"]
        for part in (dcc.Link(str(unit), href=unit_href(run_id, summary["layer"], unit)), " ")
    ]
    drawn = "" if random is None else f"; by as many random units {two(chance)}"
    return [
        html.P(f"{two(share)} [{two(low)}, {two(high)}] of {concept} {verb}{drawn}."),
        html.Div(
            bar(share, chance, colours.get(concept, "#808080"), low, high),
            **{"aria-hidden": "true"},
        ),
        facts(
            [
                (
                    f"{concept}, pixels per image",
                    f"{target['before']:,.1f} → {target['after']:,.1f}",
                ),
                ("Samples", f"{summary['samples']:,}"),
                ("Layer", summary["layer"]),
                ("Chosen by", summary["order"]),
            ]
        ),
        html.P([f"{len(summary['units'])} units: ", *units]),
        html.H3("What else changed?"),
        _side_effects(summary["side_effects"], colours),
    ]


def _side_effects(rows: list[Mapping[str, object]], colours: Mapping[str, str]) -> Component:
    shown = [row for row in rows if row["removed"] or row["added"]][:_MOST_ROWS]
    if not shown:
        return empty("Nothing.")
    names = ("Pixels per image", "Before", "After", "Change", "95 %")
    heads = [
        html.Th(name, scope="col", className="n" if place else "")
        for place, name in enumerate(names)
    ]
    body = [
        html.Tr(
            [
                html.Th(
                    [swatch(colours.get(row["concept"], "#808080")), row["concept"]], scope="row"
                ),
                html.Td(f"{row['before']:,.1f}", className="n"),
                html.Td(f"{row['after']:,.1f}", className="n"),
                html.Td(f"{row['change']:+,.1f}".replace("-", "−"), className="n"),
                html.Td(_interval(row), className="n"),
            ]
        )
        for row in shown
    ]
    table = html.Table([html.Thead(html.Tr(heads)), html.Tbody(body)])
    label = {"aria-label": "Side effects"}
    return html.Div(table, className="scroll", tabIndex=0, role="region", **label)


def _interval(row: Mapping[str, float]) -> str:
    return f"{row['change_low']:+,.1f} to {row['change_high']:+,.1f}".replace("-", "−")


def _number(value: object) -> float:
    return math.nan if value is None else float(value)


def _picture(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size <= _LARGEST else None
    except OSError:
        return None
