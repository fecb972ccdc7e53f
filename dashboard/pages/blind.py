"""The page ``/run/<run>/blind``: a blind test of the run's labels, one question after the other."""

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard import context
from dashboard.callbacks import line_of, text
from dashboard.components.attributes import aria
from dashboard.components.units import empty
from dashboard.rendering.client import to_uri
from dashboard.routing import RunPage, RunVisit
from dashboard.store import OpenRun
from dissect.blind.answers import answer, answers_of, keep_answers
from dissect.blind.options import BlindOptions
from dissect.blind.questions import BlindQuestion, blind_questions
from dissect.blind.score import scores
from dissect.errors import ConfigError, DissectError
from reports.blind import blind_strip
from segmenters.plain_text import one_line

_LONGEST_NUMBER = 9  # digits of an address


def layout(visit: RunVisit) -> Component:
    """The page for an address: ``?units=60&seed=0``."""
    options = _options(visit.query)
    asked = {"seed": options.seed, "n_units": options.n_units}
    return html.Div(
        [
            html.H1("Blind test"),
            html.P(
                "What do these images show? Each line holds the images on which one unit fires "
                "most; the white outline shows where. Choose the concept that fits the outlined "
                "places best. Which one the run chose is not shown; your answers are kept with the "
                "run."
            ),
            dcc.Store(id="blind-run", data=visit.run.id),
            dcc.Store(id="blind-asked", data=asked),
            dcc.Store(id="blind-at", data=_first_open(visit.run, options, "")),
            dmc.TextInput(id="blind-by", label="Your name, if you like", value="", debounce=400),
            html.Div(id="blind-question"),
            html.P(id="blind-status", role="status", className="message"),
            html.Section([html.H2("Score"), html.Div(id="blind-score")]),
        ],
        className="blind",
    )


def _options(query: Any) -> BlindOptions:
    """Parse the options of an address; ignores invalid values."""
    given = {"n_units": query.get("units"), "seed": query.get("seed")}
    plain = {
        name: int(value)
        for name, value in given.items()
        if isinstance(value, str) and value.isdecimal() and len(value) <= _LONGEST_NUMBER
    }
    try:
        return BlindOptions(**plain)
    except ConfigError:
        return BlindOptions()


def _questions(opened: OpenRun, options: BlindOptions) -> list[BlindQuestion]:
    key = f"blind {options.seed} {options.n_units}"
    return opened.once(key, lambda: blind_questions(opened.run, options))


def _first_open(opened: OpenRun, options: BlindOptions, by: str) -> int:
    """The first question without an answer of this person."""
    try:
        known = {(one.layer, one.unit) for one in answers_of(opened.run) if one.by == by}
        questions = _questions(opened, options)
    except DissectError:
        return 0
    left = (n for n, one in enumerate(questions) if (one.layer, one.unit) not in known)
    return next(left, len(questions))


def _shown(opened: OpenRun, options: BlindOptions, at: int) -> Component:
    questions = _questions(opened, options)
    if at >= len(questions):
        return empty("That is all: every unit of this test is answered.")
    question = questions[at]
    picture = html.Div(
        html.Img(
            src=to_uri(blind_strip(opened.run, question), "image/webp"),
            alt="The images on which the unit fires most, the places outlined",
            className="unit-strip",
        ),
        className="strip whole",
        tabIndex=0,
        role="region",
        **aria(label="Images"),
    )
    buttons = [
        dmc.Button(choice, id={"type": "blind-choice", "place": place}, variant="default")
        for place, choice in enumerate(question.choices)
    ]
    return html.Div(
        [
            html.P(f"{at + 1} of {len(questions)}", className="count"),
            picture,
            html.Div(buttons, className="paint-row", role="group", **aria(label="Concepts")),
        ]
    )


def _score(opened: OpenRun) -> Component:
    found = scores(opened.run)
    if found[-1].share is None:
        return empty("Nothing was answered yet.")
    heads = ("Rung", "answered", "right", "share", "95 %", "by guessing")
    rows = [
        html.Tr(
            [
                html.Th(one.rung, scope="row"),
                html.Td(one.asked, className="n"),
                html.Td(one.right, className="n"),
                html.Td(f"{one.share:.2f}", className="n"),
                html.Td(f"[{one.low:.2f}, {one.high:.2f}]", className="n"),
                html.Td(f"{one.chance:.2f}", className="n"),
            ]
        )
        for one in found
    ]
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in heads]))
    label: dict[str, Any] = {"aria-label": "Score"}
    table = html.Table([head, html.Tbody(rows)])
    return html.Div(table, className="scroll", tabIndex=0, role="region", **label)


def _register(app: Dash) -> None:
    app.callback(
        Output("blind-question", "children"),
        Output("blind-score", "children"),
        Output("blind-at", "data"),
        Output("blind-status", "children"),
        Input({"type": "blind-choice", "place": ALL}, "n_clicks"),
        Input("blind-by", "value"),
        State("blind-at", "data"),
        State("blind-run", "data"),
        State("blind-asked", "data"),
    )(_answer)


def _answer(clicks: object, by: object, at: object, run_id: object, asked: object) -> tuple:
    cause = ctx.triggered_id
    try:
        opened = context.current().store.open(text(run_id))
        options = BlindOptions(**asked) if isinstance(asked, dict) else BlindOptions()
        person = one_line(by) if isinstance(by, str) else ""
        place = at if isinstance(at, int) and at >= 0 else 0
        if cause == "blind-by":
            place = _first_open(opened, options, person)
        elif isinstance(cause, dict):
            if not isinstance(clicks, list) or not any(clicks):
                raise PreventUpdate  # buttons that were only added
            question = _questions(opened, options)[place]
            chosen = question.choices[int(cause["place"])]
            keep_answers(opened.run, [answer(question, chosen, by=person)])
            place += 1
        return _shown(opened, options, place), _score(opened), place, ""
    except DissectError as error:
        return no_update, no_update, no_update, line_of(error)
    except (IndexError, KeyError, TypeError, ValueError):
        return no_update, no_update, no_update, "The page is older than the test; reload it."


PAGE = RunPage("/blind", "Blind test", layout, callbacks=_register, navigation="Blind", order=80)
