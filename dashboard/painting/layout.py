"""The layout of the paint page."""

import uuid

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.attributes import aria, data_attributes
from dashboard.components.units import swatch
from dashboard.media import strip_url
from dashboard.painting.history import History
from dashboard.painting.state import BEST, BY_HAND, View, read_view
from dashboard.painting.tables import stroke_list
from dashboard.pairs import labels_of
from dashboard.routing import RunVisit
from dashboard.store import OpenRun
from dissect.painting.recipe import LARGEST_BYTES
from dissect.painting.strokes import DRAW, REMOVE
from dissect.statistics.registry import rows_of

_CHIPS = 12  # concepts shown with a picture
_LEARNED = (
    "Learned values are found by gradient descent on other images, in about a minute, and draw "
    "much more. They prove less: in some layers random units can learn to draw as much. They "
    "show what the layer can draw, not what these units do."
)


def layout(visit: RunVisit) -> Component:
    """The page for an address."""
    run = visit.run.run
    names = tuple(run.vocabulary.names)
    n_classes = run.record["generator"].get("n_classes", 0)
    view = read_view(
        visit.query,
        seed=run.config.seed,
        truncation=run.config.truncation,
        label=run.config.label,
        n_classes=n_classes,
        concepts=names,
        layers=tuple(run.layers),
    )
    size = run.record["generator"]["image_size"]
    return html.Div(
        [
            html.H1("Paint"),
            html.P("Brush a concept into the image, or out of it, by the units that draw it."),
            *_stores(visit),
            html.Div(
                [
                    _picture(size),
                    _tools(view, names, visit.run, size),
                    _sample(view, n_classes),
                ],
                className="paint",
            ),
            _seen(run.vocabulary.planes),
        ]
    )


def _stores(visit: RunVisit) -> list[Component]:
    config = visit.run.run.config
    return [
        dcc.Store(id="paint-run", data=visit.run.id),
        dcc.Store(
            id="paint-origin",
            data={"seed": config.seed, "truncation": config.truncation},
        ),
        dcc.Store(id="paint-view", data=f"paint-{uuid.uuid4()}"),
        *[
            dcc.Store(id=f"paint-{name}")
            for name in ("about", "seen", "shown", "brush", "place", "history", "restored", "none")
        ],
        dcc.Store(id="paint-kept", storage_type="session"),  # survives a reload of the tab
        dcc.Download(id="paint-download"),
    ]


def _picture(size: int) -> Component:
    stage = html.Div(
        [
            html.Img(id="paint-before", alt="The image before painting"),
            html.Img(id="paint-after", alt="The painted image"),
            html.Canvas(
                id="paint-canvas",
                width=min(size, 1024),
                height=min(size, 1024),
                role="img",
                **aria(label="Brush here; the rectangle fields do the same by keyboard"),
            ),
            html.Div(id="paint-ring", className="paint-ring", hidden=True),
        ],
        id="paint-stage",
        className="paint-stage paint-crisp",
    )
    return html.Div(
        [
            html.Div(
                [
                    _disabled("paint-undo", "Undo"),
                    _disabled("paint-redo", "Redo"),
                    _disabled("paint-clear", "Clear"),
                ],
                className="paint-row",
            ),
            stage,
            html.Div(
                [
                    # Each message has one callback, so that the next image does not remove it.
                    html.Div(
                        id="paint-status", role="status", children="The generator is being loaded …"
                    ),
                    html.Div(id="paint-refused", role="status"),
                    html.Div(id="paint-verdict", role="status"),
                ],
                className="paint-told",
            ),
            html.Div(id="paint-advice", role="status"),
            html.Label("Painted image uncovered, in percent", id="paint-reveal-label"),
            dmc.Slider(
                id="paint-reveal",
                value=100,
                min=0,
                max=100,
                updatemode="drag",
                thumbLabel="Painted image uncovered, in percent",
            ),
        ],
        className="paint-picture",
    )


def _sample(view: View, n_classes: int) -> Component:
    return html.Div(
        [
            html.Div(
                [
                    dmc.Button("Previous", id="paint-previous", variant="default"),
                    dmc.Button("Next", id="paint-next", variant="default"),
                    dmc.Button("Random", id="paint-random", variant="default"),
                    _whole("paint-index", "Sample", view.index),
                    dmc.Switch(id="paint-smooth", label="Smooth", checked=False),
                ],
                className="paint-row",
            ),
            _advanced(
                "paint-more",
                [
                    _whole("paint-seed", "Seed", view.seed),
                    dmc.NumberInput(
                        id="paint-truncation",
                        label="Truncation ψ",
                        value=view.truncation,
                        min=-5,
                        max=5,
                        step=0.1,
                        debounce=True,
                    ),
                    html.Div(
                        _whole("paint-label", "Class", "" if view.label is None else view.label),
                        hidden=not n_classes,
                    ),
                ],
                title="Seed and truncation",
                shown=False,
            ),
            html.Div(
                [
                    html.B("Good images to start from"),
                    _disabled("paint-find", "Find some"),
                ],
                className="paint-row beside",
            ),
            html.Div(id="paint-starts", role="status"),
            html.Div(
                [
                    dmc.Button("Save image", id="paint-save-image", variant="default"),
                    dmc.Button("Save recipe", id="paint-save-recipe", variant="default"),
                    dcc.Upload(
                        dmc.Button("Open recipe", id="paint-open", variant="default"),
                        id="paint-upload",
                        accept=".json,application/json",
                        max_size=LARGEST_BYTES,
                    ),
                ],
                className="paint-row",
            ),
            html.Div(id="paint-opened", role="status"),
            html.Div(id="paint-saved", role="status"),
        ],
        className="paint-sample",
    )


def _advanced(
    name: str, fields: list[Component], *, title: str, shown: bool, told: str = ""
) -> Component:
    """Fields that one can do without, folded; the text below them is about the last one."""
    parts: list[Component] = [html.Summary(title), html.Div(fields, className="paint-row")]
    if told:
        parts.append(html.P(told, className="quiet"))
    return html.Details(parts, id=name, open=shown, className="paint-advanced")


def _disabled(name: str, label: str) -> Component:
    """A button that is disabled until it has something to do."""
    return dmc.Button(label, id=name, variant="default", disabled=True)


def _whole(name: str, label: str, value: int | str) -> Component:
    return dmc.NumberInput(
        id=name, label=label, value=value, min=0, allowDecimal=False, debounce=True
    )


def _chips(opened: OpenRun, chosen: str) -> Component | None:
    """The concepts that label most units, each with an image of its clearest unit."""
    labels = labels_of(opened)
    layers = [layer for layer in opened.run.layers if opened.run.has_strips(layer)]
    named = labels[labels.is_named & labels.layer.isin(layers)]
    best = named.sort_values("excess_information", ascending=False, kind="stable")
    chips = []
    for row in rows_of(best.drop_duplicates("concept").head(_CHIPS)):
        name = str(row.concept)
        picture = f"url({strip_url(opened, str(row.layer), int(row.unit))})"
        chips.append(
            html.Button(
                [
                    html.Span(className="chip-image", style={"backgroundImage": picture}),
                    html.Span([swatch(opened.run.vocabulary[name].colour), name]),
                ],
                id={"type": "paint-chip", "name": name},
                type="button",
                className="chip",
                **aria(pressed=str(name == chosen).lower()),
            )
        )
    if not chips:
        return None
    values = {**aria(label="Concepts"), **data_attributes(roving="button")}
    return html.Div(chips, className="chips", role="group", **values)


def _tools(view: View, names: tuple[str, ...], opened: OpenRun, size: int) -> Component:
    run = opened.run
    corners = dict(
        zip(("Top", "Left", "Bottom", "Right"), (size // 2, 0, size, size // 3), strict=True)
    )
    return html.Div(
        [
            _chips(opened, view.concept),
            html.Div(
                [
                    dmc.SegmentedControl(
                        id="paint-mode",
                        value=view.mode,
                        data=[
                            {"value": DRAW, "label": "Draw"},
                            {"value": REMOVE, "label": "Remove"},
                        ],
                        **aria(label="Draw or remove"),
                    ),
                    dmc.Select(
                        id="paint-concept",
                        label="Concept",
                        value=view.concept or BY_HAND,
                        data=[*names, BY_HAND],
                        searchable=True,
                        allowDeselect=False,
                    ),
                    dmc.NumberInput(
                        id="paint-size",
                        label="Brush, pixels",
                        value=max(2, size // 4),
                        min=1,
                        max=size,
                    ),
                ],
                className="paint-row",
            ),
            html.Div(
                dmc.TextInput(
                    id="paint-units",
                    label="Units by hand",
                    value=view.units,
                    placeholder="3, 7, 12",
                    debounce=True,
                ),
                id="paint-by-hand",
                hidden=bool(view.concept),
            ),
            html.P(id="paint-how", role="status", children="The renderer is starting …"),
            _advanced(
                "paint-advanced",
                [
                    dmc.Select(
                        id="paint-layer",
                        label="Layer",
                        value=view.layer or BEST,
                        data=[BEST, *run.layers],
                        searchable=True,
                        allowDeselect=False,
                    ),
                    dmc.NumberInput(
                        id="paint-n-units", label="Units", value=16, min=1, allowDecimal=False
                    ),
                    dmc.NumberInput(
                        id="paint-strength", label="Strength", value=1, min=0, max=10, step=0.25
                    ),
                    dmc.Switch(id="paint-learned", label="Learned values", checked=False),
                ],
                title="Advanced: layer, units, strength, learned values",
                shown=not view.concept or bool(view.layer),
                told=_LEARNED,
            ),
            html.Fieldset(
                [
                    html.Legend("Without a brush"),
                    html.Div(
                        [
                            dmc.NumberInput(
                                id=f"paint-{name.lower()}",
                                label=name,
                                value=value,
                                min=0,
                                max=size,
                                allowDecimal=False,
                            )
                            for name, value in corners.items()
                        ],
                        className="paint-row",
                    ),
                    html.Div(
                        [
                            _disabled("paint-box", "Paint this rectangle"),
                            _disabled("paint-everywhere", "Everywhere"),
                        ],
                        className="paint-row",
                    ),
                ]
            ),
            html.Fieldset(
                [
                    html.Legend("Strokes"),
                    html.Div(stroke_list(History()), id="paint-strokes"),
                ]
            ),
        ],
        className="paint-tools",
    )


def _seen(planes: tuple[str, ...]) -> Component:
    pictures = [
        html.Figure([html.Figcaption(when), html.Img(id=name, alt=f"Concepts {when.lower()}")])
        for when, name in (("Before", "paint-labels-before"), ("After", "paint-labels-after"))
    ]
    return html.Div(
        [
            html.Section(
                [
                    html.H2("What the segmenter sees"),
                    dmc.SegmentedControl(
                        id="paint-plane",
                        value=planes[0],
                        data=list(planes),
                        **aria(label="Plane"),
                    ),
                    html.Div(pictures, className="paint-labels"),
                ]
            ),
            html.Section([html.H2("What changed"), html.Div(id="paint-changes")]),
        ],
        className="two",
    )
