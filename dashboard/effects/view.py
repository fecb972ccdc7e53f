"""A measured effect as a part of a page."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.callbacks import line_of, problem
from dashboard.components.attributes import data_attributes
from dashboard.components.units import bar, empty, facts, second_label, swatch
from dashboard.links import run_href, unit_href
from dashboard.notes.labels import second_labels
from dashboard.rendering.client import to_uri
from dashboard.store import OpenRun
from dissect.errors import DissectError
from dissect.runs import Run
from dissect.studies.description import Bar, Column, Description, Table
from dissect.studies.effects import open_effect
from dissect.studies.registry import study_of
from dissect.studies.store import effect_names

_LARGEST = 8 * 1024 * 1024
_MOST_ROWS = 12
_GREY = "#808080"  # colour of values without a concept
_DAMAGE = (DissectError, KeyError, TypeError, ValueError, IndexError)


def effect_list(run: Run, run_id: str) -> Component:
    """All effects of a run, one line each, with links."""
    rows = []
    for name in effect_names(run):
        href = effect_href(run_id, name)
        try:
            effect = open_effect(run, name)
            text = study_of(effect).headline(effect.record["summary"])
            headline = html.Span(text, className="headline")
        except _DAMAGE as error:
            headline = html.Span(f"cannot be shown: {line_of(error)}", className="failed")
        rows.append(html.Li([dcc.Link(name, href=href), headline]))
    if not rows:
        return empty("Nothing was measured on this run yet: a match is not a cause.")
    return html.Ul(rows, className="rows", **data_attributes(roving="a"))


def effect_href(run_id: str, name: str) -> str:
    """Address of an effect."""
    return f"{run_href(run_id, 'effects')}?{urlencode({'name': name})}"


def form_values(run: Run, name: str) -> dict[str, str]:
    """Concept, layer and hand-picked units of a measured effect, to prefill the form."""
    try:
        question = open_effect(run, name).record["question"]
        values = {key: str(question[key]) for key in ("concept", "layer") if key in question}
        picked = question.get("picked", ())
        return {**values, **({"units": ", ".join(map(str, picked))} if picked else {})}
    except _DAMAGE:
        return {}


def one_effect(opened: OpenRun, name: str) -> Component:
    """An effect with its numbers, tables and pictures."""
    try:
        effect = open_effect(opened.run, name)
        study = study_of(effect)
        described = _described(study.describe(effect.record["summary"]), opened)
    except _DAMAGE as error:
        return problem(error)
    pictures = [
        html.Figure(
            [html.Figcaption(one.title), html.Img(src=to_uri(data, one.media), alt=one.title)]
        )
        for one in study.pictures
        if (data := _picture(effect.path / one.file)) is not None
    ]
    beside = "" if any(one.is_wide for one in study.pictures) else "two"
    return html.Section(
        [html.H2(name), html.Div([html.Div(described), html.Div(pictures)], className=beside)]
    )


def _described(found: Description, opened: OpenRun) -> list[Component]:
    colours = {one.name: one.colour for one in opened.run.vocabulary}
    colour = colours.get(found.concept, _GREY)
    parts: list[Component] = [html.P(f"{finding}.") for finding in found.findings]
    hidden: dict[str, Any] = {"aria-hidden": "true"}
    bars = [
        html.Div([html.Span(one.name, className="quiet"), _bar(one, colour)], **hidden)
        for one in found.bars
    ]
    if bars:
        parts += [*bars, html.P("Line: 95 % interval. Tick: the random ones.", className="quiet")]
    if found.facts:
        parts.append(facts(found.facts))
    parts += [_units(layer, units, opened) for layer, units in found.layers.items()]
    for table in found.tables:
        parts += [html.H3(table.title), _table(table, colours)]
        if table.note:
            parts.append(html.P(table.note, className="quiet"))
    return parts


def _bar(one: Bar, colour: str) -> Component:
    values = (one.value, one.random, one.low, one.high)
    value, random, low, high = (math.nan if number is None else number for number in values)
    return bar(value, random, colour, low, high)


def _units(layer: str, units: Sequence[int], opened: OpenRun) -> Component:
    people, links = second_labels(opened), []
    for place, unit in enumerate(units):
        links += [
            ", " if place else "",
            dcc.Link(str(unit), href=unit_href(opened.id, layer, unit)),
        ]
        if (layer, unit) in people:
            links += [" ", html.Span(second_label(people[layer, unit]), className="second")]
    many = f"{len(units)} units" if len(units) > 1 else "1 unit"
    return html.P([f"{many} of {layer}: ", *links], **data_attributes(roving="a"))


def _table(table: Table, colours: Mapping[str, str]) -> Component:
    rows = table.rows[: _MOST_ROWS if table.n_first else None]
    if not rows:
        return empty("Nothing.")
    heads = [
        html.Th(column.title.capitalize(), scope="col", className="n" if place else "")
        for place, column in enumerate(table.columns)
    ]
    first, *others = table.columns
    body = [
        html.Tr(
            [
                html.Th(_head(first, row, colours), scope="row"),
                *[html.Td(column.text(row).replace("-", "−"), className="n") for column in others],
            ],
            className="quiet" if table.is_faint(row) else "",
        )
        for row in rows
    ]
    content = html.Table([html.Thead(html.Tr(heads)), html.Tbody(body)])
    label: dict[str, Any] = {"aria-label": table.title}
    return html.Div(content, className="scroll", tabIndex=0, role="region", **label)


def _head(column: Column, row: Mapping[str, object], colours: Mapping[str, str]) -> list:
    shown = column.text(row)
    return [swatch(colours.get(shown, _GREY)), shown] if column.is_concept else [shown]


def _picture(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size <= _LARGEST else None
    except OSError:
        return None
