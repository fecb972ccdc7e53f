"""The page ``/run/<run>``: the clearest units, concepts by layer, the best unit of each layer."""

import pandas as pd
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.layers import bars_of, matrix, stacks
from dashboard.components.units import READING, cards, empty, facts
from dashboard.effects.view import effect_list
from dashboard.links import concept_href, run_href
from dashboard.pairs import labels_of, ladder_of
from dashboard.routing import RunPage, RunVisit
from dashboard.store import OpenRun
from dashboard.unit_filter import UnitFilter, filter_units
from dissect.runs import Run
from dissect.statistics.ladder import NAMED

_STRONGEST = 8
_CELLS = 480  # of the matrix, about: a row for each concept, a cell for every layer


def layout(visit: RunVisit) -> Component:
    """Pictures first, then bars, then numbers."""
    opened = visit.run
    run = opened.run
    labels = labels_of(opened)
    named = labels[labels.is_named]
    best = filter_units(labels, UnitFilter()).drop_duplicates("concept").head(_STRONGEST)
    n_units, n_concepts = len(labels), named.concept.nunique()
    counts = named.concept.value_counts()
    concepts = sorted(run.vocabulary.names, key=lambda name: -counts.get(name, 0))
    n_rows = min(max(_CELLS // len(run.layers), 8), 40)
    areas = opened.once("areas", run.areas)
    ladder = opened.once("ladder", lambda: ladder_of(opened, run.layers))
    verb = "named after" if run.label_rung >= NAMED else "matched with"
    lead = f"{len(named):,} of {n_units:,} units are {verb} one of {n_concepts} concepts."
    return html.Div(
        [
            html.H1(opened.name),
            html.P(ladder, className="lead"),
            html.P([lead, " ", dcc.Link("Look at all units", href=run_href(opened.id, "units"))]),
            facts(
                [
                    ("Generator", run.record["generator"]["name"]),
                    ("Segmenter", run.record["segmenter"]["name"]),
                    ("Samples", f"{run.config.n_samples:,} of seed {run.config.seed}"),
                    ("Scored on", f"{run.record['coverage']['evaluation']:,} held-out"),
                    ("Thresholds", run.config.threshold),
                    ("Made", run.record["created"][:10]),
                ]
            ),
            html.P(_how(run), className="quiet"),
            html.H2("What is clearest?"),
            html.P(READING) if len(best) else None,
            cards(opened, best)
            if len(best)
            else empty(
                "No unit is named after a concept of this vocabulary. Try other "
                "layers, more samples, or a segmenter that names what the images show."
            ),
            html.H2("Which layers know which concepts?"),
            html.P(
                "Each bar is all units of a layer; its pieces are the units that a concept labels. "
                "Click one to see them. What is left is named after nothing."
            ),
            stacks(opened, bars_of(opened)),
            html.H2("How well does the best unit of each layer match?"),
            html.P(
                "IoU of the unit with most information about the concept; the tick is its chance "
                "level. Pale: not named after it. Click a name for all of its units."
            ),
            matrix(opened, concepts[:n_rows], lambda name: _area(areas, name)),
            _rest(opened, concepts[n_rows:]),
            html.H2("What was measured by removing or inserting units?"),
            effect_list(run, opened.id),
            html.P(dcc.Link("Measure more", href=run_href(opened.id, "effects"))),
        ]
    )


def _how(run: Run) -> str:
    """What the words of the page mean."""
    where = "A unit is looked at where it exceeds a threshold"
    if run.config.threshold == "information":
        where += ", which was chosen on other samples than those it is scored on"
    return (
        f"{where}. It matches the concept it tells most about if their IoU is above "
        f"{run.config.min_iou:g} and neither kind of chance explains it, and is named after it if "
        "its top images show it."
    )


def _rest(opened: OpenRun, concepts: list[str]) -> Component | None:
    """Concepts with fewer units, as links."""
    if not concepts:
        return None
    links = [dcc.Link(name, href=concept_href(opened.id, name)) for name in concepts]
    label = f"{len(concepts)} more concepts, with fewer units"
    return html.Details([html.Summary(label), html.P([p for link in links for p in (link, " ")])])


def _area(areas: pd.Series, name: str) -> str:
    return f"{100 * areas[name]:.1f} %" if name else "Area"


PAGE = RunPage("", "Overview", layout, navigation="Overview", order=10)
