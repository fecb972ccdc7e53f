"""Pages are found by being in their folder; what a new one needs is one module."""

import sys

import dash
import pytest

from dashboard import create_app, pages
from dashboard.routing import Page, RunPage, discover

TOY = """
from dash import Input, Output, dcc, html
from dashboard.routing import RunPage

def layout(visit):
    n_samples = visit.run.run.config.n_samples
    return html.Div([html.P(f"{n_samples} samples, {visit.path['word']}"), dcc.Input(id="toy-in"),
                     html.P(id="toy-out")])

def callbacks(app):
    app.callback(Output("toy-out", "children"), Input("toy-in", "value"))(lambda text: text)

PAGE = RunPage("/toy/<word>", "Toy {word}", layout, callbacks=callbacks)
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A folder with one module more is all that a page takes."""
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(pages, "__path__", [*pages.__path__, str(tmp_path)])
    yield
    sys.modules.pop("dashboard.pages.toy")
    dash.page_registry.pop("dashboard.pages.toy", None)


def routed(client, path):
    """What the app shows at an address, and the title of the tab."""
    client.get("/")  # dash routes once the first page was asked for
    body = {
        "output": ".._pages_content.children..._pages_store.data..",
        "outputs": [
            {"id": "_pages_content", "property": "children"},
            {"id": "_pages_store", "property": "data"},
        ],
        "inputs": [
            {"id": "_pages_location", "property": "pathname", "value": path},
            {"id": "_pages_location", "property": "search", "value": ""},
        ],
        "changedPropIds": ["_pages_location.pathname"],
    }
    found = client.post("/_dash-update-component", json=body)
    content = found.get_json()["response"]
    return str(content["_pages_content"]), content["_pages_store"]["data"]["title"]


def test_a_page_is_one_module(toy, runs_dir):
    client = create_app(runs_dir).server.test_client()
    content, title = routed(client, "/run/planted/toy/a%20%7Bb%7D")
    assert "200 samples, a {b}" in content
    assert title == "Toy a {b} · planted · gan-dissection"
    outputs = [one["output"] for one in client.get("/_dash-dependencies").get_json()]
    assert "toy-out.children" in outputs


def test_without_it_there_is_none(runs_dir):
    client = create_app(runs_dir).server.test_client()
    assert "No such run" in routed(client, "/run/planted/toy/x")[0]


def test_a_page_is_of_a_run_or_of_none_and_says_so_by_its_kind():
    for page in discover().pages.values():
        assert type(page) in (Page, RunPage)
        assert ("run" in page.variables) == isinstance(page, RunPage)


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "Runs"),
        ("/run/planted", "Overview · planted"),
        ("/run/planted/units", "Units · planted"),
        ("/run/planted/layer/units/unit/3", "units unit 3 · planted"),
        ("/run/planted/layer/units/unit/4", "units unit 4 · planted"),
        ("/run/planted/concept/red", "red · planted"),
        ("/run/nope/units", "Units · nope"),
    ],
)
def test_tabs_are_told_apart_by_their_titles(client, path, title):
    assert routed(client, path)[1] == f"{title} · gan-dissection"
