"""The page ``/run/<run>``: rungs of evidence, the clearest units, concepts by layer."""

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.layers import bars_of, heat_map, stacks
from dashboard.components.rungs import rung_tiles
from dashboard.components.units import READING, cards, counted, empty, facts
from dashboard.effects.view import effect_list
from dashboard.links import run_href
from dashboard.pairs import ladder_of
from dashboard.routing import RunPage, RunVisit
from dashboard.rungs import ranked_labels
from dashboard.store import OpenRun
from dashboard.unit_filter import UnitFilter, filter_units
from dissect.runs import Run
from dissect.runs.left_out import describe_left_out
from dissect.statistics.ladder import NAMED
from reports.naming import short_name

_STRONGEST = 6
_FEW = 12  # concepts shown if no unit is named


def layout(visit: RunVisit) -> Component:
    """Summary first, then pictures, then layers."""
    opened = visit.run
    run = opened.run
    labels = ranked_labels(opened)
    named = labels[labels.is_named]
    best = filter_units(labels, UnitFilter()).drop_duplicates("concept").head(_STRONGEST)
    counts = named.concept.value_counts()
    concepts = sorted(run.vocabulary.names, key=lambda name: -counts.get(name, 0))
    known = [name for name in concepts if counts.get(name, 0)]
    verb = "named after" if run.label_rung >= NAMED else "matched with"
    lead = f"{len(named):,} of {len(labels):,} units are {verb} one of {len(known)} concepts."
    ladder = opened.once("ladder", lambda: ladder_of(opened, run.layers))
    return html.Div(
        [
            html.H1(opened.name),
            *(
                html.P(one, className="failed", role="note")
                for one in describe_left_out(run.record)
            ),
            html.P([lead, " ", dcc.Link("Look at all units", href=run_href(opened.id, "units"))]),
            rung_tiles(opened),
            html.Details(
                [html.Summary("What do these words mean?"), html.P(ladder), html.P(_how(run))]
            ),
            html.H2("What is clearest?"),
            cards(opened, best, large=True)
            if len(best)
            else empty(
                "No unit is named after a concept of this vocabulary. Try other "
                "layers, more samples, or a segmenter that names what the images show."
            ),
            html.P(READING, className="quiet") if len(best) else None,
            html.H2("How well does the best unit of each layer match?"),
            heat_map(opened, known or concepts[:_FEW], label="IoU of the best unit of each layer"),
            _rest(opened, concepts[len(known) or _FEW :]),
            html.H2("Which layers know which concepts?"),
            html.P(
                "Each bar is all units of a layer; its pieces are the units that a concept labels. "
                "What is left is named after nothing."
            ),
            stacks(opened, bars_of(opened)),
            html.H2("What was measured by removing or inserting units?"),
            effect_list(run, opened.id),
            html.P(dcc.Link("Measure more", href=run_href(opened.id, "effects"))),
            html.H2("How was it made?"),
            facts(
                [
                    ("Generator", short_name(run.record["generator"]["name"])),
                    ("Segmenter", short_name(run.record["segmenter"]["name"])),
                    ("Samples", f"{run.config.n_samples:,} of seed {run.config.seed}"),
                    ("Scored on", f"{run.record['coverage']['evaluation']:,} held-out"),
                    ("Thresholds", run.config.threshold),
                    ("Made", run.record["created"][:10]),
                ]
            ),
        ]
    )


def _how(run: Run) -> str:
    """Explanation of the page's words."""
    where = "A unit is looked at where it exceeds a threshold"
    if run.config.threshold == "information":
        where += ", which was chosen on other samples than those it is scored on"
    return (
        f"{where}. It matches the concept it tells most about if their IoU is above "
        f"{run.config.min_iou:g} and neither kind of chance explains it, and is named after it if "
        "its top images show it."
    )


def _rest(opened: OpenRun, concepts: list[str]) -> Component | None:
    """Concepts that label no unit, folded."""
    if not concepts:
        return None
    label = f"{counted(len(concepts), 'concept')} after which no unit is named"
    heat = heat_map(opened, concepts, label=label)
    return html.Details([html.Summary(label), heat])


PAGE = RunPage("", "Overview", layout, navigation="Overview", order=10)
