"""What the page of runs shows while there is none: three pictures, and a button that runs the demo.

The pictures are of the embedded generator; ``docs/pictures.py RUN --explain`` makes them.
"""

from dash import html
from dash.development.base_component import Component

from dashboard.work.requests import RunRequest
from dissect.commands.demo import DEMO_GENERATOR, DEMO_SEGMENTER

DEMO = "demo"
"""Name of the demo's run, and of the action of its button."""
_PICTURES = (
    (
        "images",
        "Four images of houses and trees; the trees are outlined",
        "A generator draws images",
        "A segmenter marks what is in them, here every tree.",
    ),
    (
        "unit",
        "The same images, dark except where one unit is high: on the trees",
        "A unit is high somewhere",
        "A unit is one channel of a layer. Where this one is high, the images are bright: it "
        "matches tree.",
    ),
    (
        "ablated",
        "The same images without the units: most of the trees are gone",
        "Without it, something goes",
        "The same images with the 20 units set to zero that match tree best. So one sees what "
        "units do, and not only where they are high.",
    ),
)


def demo_request() -> RunRequest:
    """The run that ``dissect demo`` makes."""
    return RunRequest(name=DEMO, generator=DEMO_GENERATOR, segmenters=(DEMO_SEGMENTER,))


def first_visit(*, begun: bool) -> Component:
    """The explanation and the button.

    Args:
        begun: Whether the demo runs, waits or was stopped already; then its row has the buttons.
    """
    request = demo_request()
    button = html.Button(
        "Run the demo",
        id={"page": "runs", "action": DEMO, "name": DEMO},
        type="button",
        className="action filled",
    )
    told = (
        f"{request.n_samples:,} images of {DEMO_GENERATOR}, which comes with this package: every "
        "unit of every layer, in a minute or two, without a download."
    )
    begin = [button, html.Span(told, className="quiet")]
    if begun:
        begin = [html.Span("The demo is being made, see below. Its card appears here.")]
    return html.Section(
        [
            html.H2("What does each unit of a generator do?"),
            html.P("There is no run in this folder yet. A run measures this for all units:"),
            html.Ol([_figure(*one) for one in _PICTURES], className="first-pictures"),
            html.Div(begin, className="beside first-begin"),
            html.P(
                ["Or ", html.Code("dissect run … --out FOLDER/NAME"),
                 " on the command line, or the form below, for a generator of your own."],
                className="quiet",
            ),
        ],
        className="first",
    )  # fmt: skip


def _figure(name: str, alt: str, title: str, text: str) -> Component:
    picture = html.Img(src=f"/assets/first-{name}.webp", alt=alt, width=388, height=388)
    return html.Li([picture, html.H3(title), html.P(text)])
