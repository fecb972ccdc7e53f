"""A running dashboard over small runs, and a browser to look at it with."""

import contextlib
import json
import shutil
import threading
import time

import pytest

from tests import patience


@pytest.fixture(scope="session", autouse=True)
def patient_renderers():
    """A busy machine takes minutes to start a renderer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashboard.rendering.process._START_SECONDS", patience.PROCESS)
        yield


@contextlib.contextmanager
def _serving(runs_dir, settings=None):
    """A dashboard on a free port; gives its address."""
    from dashboard import Settings, create_app
    from dashboard.serving import listen, make_server, stop

    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    app = create_app(runs_dir, settings or Settings(port=port))
    server = make_server(app, sock)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(server)
        thread.join(timeout=10)
        server.task_dispatcher.shutdown()


@pytest.fixture(scope="session")
def serving():
    """``with serving(runs_dir, settings) as url``: a dashboard of one's own."""
    return _serving


EVIL = "<script>alert(1)</script>"
EVIL_LAYER = "a/b é%20<"


def make_evil_run(out):
    """A run whose concept and layer are named as nobody should name them."""
    from dissect import dissect
    from dissect.worlds.planted import generator
    from segmenters.colour import ColourSegmenter
    from segmenters.vocabulary import Vocabulary

    segmenter, planted = ColourSegmenter(), generator()
    rows = [(c.name, c.category, c.plane, c.colour) for c in segmenter.vocabulary]
    renamed = [(EVIL if name == "red" else name, *rest) for name, *rest in rows]
    segmenter.vocabulary = Vocabulary.build(renamed)
    planted.layers = {EVIL_LAYER: planted.layers["units"]}
    return dissect(planted, segmenter, out=out, n_samples=32, progress=False)


@pytest.fixture(scope="session")
def made_runs(planted_run, command, tmp_path_factory):
    """Runs in every state, for ``runs_dir`` to copy."""
    from dissect import dissect

    folder = tmp_path_factory.mktemp("dashboard") / "runs"
    folder.mkdir()
    shutil.copytree(planted_run.path, folder / "planted")
    done = command(
        "ablate", folder / "planted", "--concept", "red", "--units", 1, "--samples", 16, "--json"
    )
    assert done.returncode == 0, done.stderr
    dissect(
        "dissect.worlds.planted:generator", "colour", out=folder / "planted too", n_samples=64,
        coactivation=True, progress=False,
    )  # fmt: skip
    make_evil_run(folder / "evil")
    record = json.loads((planted_run.path / "run.json").read_text())
    newer = json.dumps(record | {"schema_version": 99})
    for name, content in (("broken", "{"), ("newer", newer)):
        shutil.copytree(planted_run.path, folder / name)
        (folder / name / "run.json").write_text(content)
    shutil.copytree(planted_run.path, folder / "changed")
    # Times are whole seconds: a copy with its original's could be among the newest two.
    older = json.dumps(record | {"created": "2020-01-01T00:00:00+00:00"})
    (folder / "changed" / "run.json").write_text(older)
    with (folder / "changed" / "units.parquet").open("ab") as file:
        file.write(b"more")
    return folder


@pytest.fixture
def runs_dir(made_runs, tmp_path):
    """A folder of runs in every state, of the test's own."""
    return shutil.copytree(made_runs, tmp_path / "made" / "runs")


@pytest.fixture
def client(runs_dir):
    """Asks the app without a server."""
    from dashboard import create_app

    return create_app(runs_dir).server.test_client()


@pytest.fixture
def dashboard_url(runs_dir):
    """The address of a running dashboard over ``runs_dir``, of the test's own."""
    with _serving(runs_dir) as url:
        yield url


@pytest.fixture(scope="session")
def scenes_run(tmp_path_factory, command):
    """A small run of drawn scenes, with a few samples more than it needs to name units after
    windows; for ``scenes_url`` to copy."""
    folder = tmp_path_factory.mktemp("scenes") / "runs"
    done = command(
        "run", "scenes-stylegan2", "--segmenter", "scenes", "--layers", "b16.conv1,b32.conv1",
        "--samples", 128, "--out", folder / "scenes",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "scenes"


@pytest.fixture
def scenes_url(scenes_run, tmp_path, serving):
    """A dashboard over a copy of ``scenes_run``, of the test's own."""
    shutil.copytree(scenes_run, tmp_path / "scenes" / "scenes")
    with serving(tmp_path / "scenes") as url:
        yield url


def _until(true, seconds=patience.PAGE):
    """Wait in here: the pages' policy lets no text become code there."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="session")
def until():
    """``until(true)``: wait until it is."""
    return _until


@pytest.fixture(scope="session")
def fits():
    """``fits(page)``: whether nothing on it is wider than it; figures take a moment to follow."""
    return lambda page: page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.fixture(scope="session")
def browser(chromium):
    """One context for all journeys, so that scripts are fetched and compiled once."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(1000 * patience.PAGE)
    yield context
    context.close()


@pytest.fixture
def page(browser, request):
    """A fresh page of 1440 × 900; fails the test if the console reports a problem."""
    for name in request.fixturenames:
        if name == "url" or name.endswith("_url"):
            request.getfixturevalue(name)  # a server that starts before the page outlives it
    view = browser.new_page()
    problems = []
    view.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else 0)
    view.on("pageerror", lambda error: problems.append(str(error)))
    view.problems = problems
    yield view
    view.close()
    assert problems == []
