"""A running dashboard over small runs, and a browser to look at it with."""

import contextlib
import shutil
import threading

import pytest

CHROMIUM = shutil.which("chromium")


@contextlib.contextmanager
def serving(runs_dir, settings=None):
    """A dashboard on a free port; gives its address."""
    from dashboard import Settings, create_app
    from dashboard.serving import listen, make_server

    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    app = create_app(runs_dir, settings or Settings(port=port))
    server = make_server(app, sock)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        thread.join(timeout=10)


@pytest.fixture(scope="session")
def runs_dir(planted_run, tmp_path_factory):
    """A folder of runs. Tests must not change it."""
    folder = tmp_path_factory.mktemp("dashboard") / "runs"
    folder.mkdir()
    for name in ("planted", "planted too"):
        shutil.copytree(planted_run.path, folder / name)
    return folder


@pytest.fixture(scope="session")
def dashboard_url(runs_dir):
    """The address of a running dashboard over ``runs_dir``."""
    with serving(runs_dir) as url:
        yield url


@pytest.fixture(scope="session")
def browser():
    """Chromium, once for all journeys."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A fresh page of 1440 × 900; fails the test if the console told of a problem."""
    view = browser.new_page(viewport={"width": 1440, "height": 900})
    view.set_default_timeout(10_000)
    problems = []
    view.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else 0)
    view.on("pageerror", lambda error: problems.append(str(error)))
    view.problems = problems
    yield view
    view.close()
    assert problems == []
