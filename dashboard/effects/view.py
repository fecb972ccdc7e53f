"""A measured effect as a part of a page."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.callbacks import line_of, problem
from dashboard.components.units import bar, empty, facts, second_label, swatch, two
from dashboard.effects.context_table import context_table
from dashboard.links import run_href, unit_href
from dashboard.notes.labels import second_labels
from dashboard.rendering.client import to_uri
from dashboard.store import OpenRun
from dissect.errors import DissectError
from dissect.runs import Run
from dissect.studies.questions import PICKED
from dissect.studies.store import effect_names, open_effect
from dissect.studies.telling import describe_effect, headline

_LARGEST = 8 * 1024 * 1024
_MOST_ROWS = 12
_PICTURES = (
    ("sheet.png", "image/png", "Before, after, difference"),
    ("curve.svg", "image/svg+xml", "Effect against the number of units, with random ones"),
    ("contexts.svg", "image/svg+xml", "What comes where"),
)
ORDERS = {
    "iou": "best match (IoU)",
    "excess": "best match over chance",
    "sweep": "tried one by one",
    "greedy": "searched as a set",
    PICKED: "chosen by hand",
}
"""Labels of the unit orders."""
_DAMAGE = (DissectError, KeyError, TypeError, ValueError, IndexError)


def effect_list(run: Run, run_id: str) -> Component:
    """Every effect of a run in a line, with a link to it."""
    rows = []
    for name in effect_names(run):
        href = effect_href(run_id, name)
        try:
            headline_or_error = html.Span(headline(open_effect(run, name).record["summary"]))
        except _DAMAGE as error:
            headline_or_error = html.Span(f"cannot be shown: {line_of(error)}", className="failed")
        rows.append(html.Li([dcc.Link(name, href=href), headline_or_error]))
    if not rows:
        return empty("Nothing was measured on this run yet: a match is not a cause.")
    return html.Ul(rows, className="rows")


def effect_href(run_id: str, name: str) -> str:
    """Where an effect stands."""
    return f"{run_href(run_id, 'effects')}?{urlencode({'name': name})}"


def form_values(run: Run, name: str) -> dict[str, str]:
    """Concept, layer and units picked by hand of a measured effect, to ask something like it."""
    try:
        question = open_effect(run, name).record["question"]
        values = {key: str(question[key]) for key in ("concept", "layer") if key in question}
        picked = question.get("picked", ())
        return {**values, **({"units": ", ".join(map(str, picked))} if picked else {})}
    except _DAMAGE:
        return {}


def one_effect(opened: OpenRun, name: str) -> Component:
    """An effect with its numbers, side effects and pictures."""
    try:
        effect = open_effect(opened.run, name)
        details = _details(effect.record["summary"], opened)
    except _DAMAGE as error:
        return problem(error)
    pictures = [
        html.Figure([html.Figcaption(title), html.Img(src=to_uri(data, kind), alt=title)])
        for file, kind, title in _PICTURES
        if (data := _picture(effect.path / file)) is not None
    ]
    # The sheet of a context is a wide one.
    beside = "" if effect.record["summary"]["kind"] == "context" else "two"
    return html.Section(
        [html.H2(name), html.Div([html.Div(details), html.Div(pictures)], className=beside)]
    )


def _details(summary: Mapping[str, object], opened: OpenRun) -> list[Component]:
    kind = summary["kind"]
    colours = {one.name: one.colour for one in opened.run.vocabulary}
    if kind == "context":
        boxes = f"{summary['places']:,} of {summary['side']} × {summary['side']} pixels"
        return [
            _settings(summary, [("Boxes in each image", boxes)]),
            _units(summary, opened),
            *context_table(summary, colours),
        ]
    if kind not in ("ablate", "insert"):
        words = describe_effect(summary)
        return [html.Pre(words, tabIndex=0, **{"aria-label": "Effect in words"})]
    verb = "removed" if kind == "ablate" else "added"
    concept, target, random = summary["concept"], summary["target"], summary["random"]
    share, low, high, chance = (
        _number(row.get(f"{verb}_share{end}")) if row else math.nan
        for row, end in ((target, ""), (target, "_low"), (target, "_high"), (random, ""))
    )
    drawn = "" if random is None else f"; by as many random units {two(chance)}"
    return [
        html.P(f"{two(share)} [{two(low)}, {two(high)}] of {concept} {verb}{drawn}."),
        html.Div(
            bar(share, chance, colours.get(concept, "#808080"), low, high),
            **{"aria-hidden": "true"},
        ),
        html.P(
            "Line: 95 % interval." + (" Tick: the random units." if random else ""),
            className="quiet",
        ),
        _settings(
            summary,
            [
                (
                    f"{concept}, pixels per image",
                    f"{target['before']:,.1f} → {target['after']:,.1f}",
                )
            ],
        ),
        _units(summary, opened),
        html.H3("What else changed, in pixels per image?"),
        _side_effects(summary["side_effects"], colours),
    ]


def _settings(summary: Mapping[str, object], first: Sequence[tuple[str, str]]) -> Component:
    order = summary["order"]
    return facts(
        [
            *first,
            ("Samples", f"{summary['samples']:,}"),
            ("Layer", summary["layer"]),
            ("Chosen by", ORDERS.get(order, order)),
        ]
    )


def _units(summary: Mapping[str, object], opened: OpenRun) -> Component:
    layer, people = summary["layer"], second_labels(opened)
    links = []
    for place, unit in enumerate(summary["units"]):
        links += [
            ", " if place else "",
            dcc.Link(str(unit), href=unit_href(opened.id, layer, unit)),
        ]
        if (layer, unit) in people:
            links += [" ", html.Span(second_label(people[layer, unit]), className="second")]
    start = "Its unit: " if len(summary["units"]) == 1 else f"Its {len(summary['units'])} units: "
    return html.P([start, *links])


def _side_effects(rows: list[Mapping[str, object]], colours: Mapping[str, str]) -> Component:
    shown = [row for row in rows if row["removed"] or row["added"]][:_MOST_ROWS]
    if not shown:
        return empty("Nothing.")
    names = ("Concept", "Before", "After", "Change", "95 % interval")
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
