"""A run with everything that a report can show, its report, and one browser for all tests."""

import pytest

from tests import patience


@pytest.fixture(scope="session")
def full_run(tmp_path_factory, shared_folders):
    """A run of two layers with co-activation and measured effects. Tests must not change it."""
    from dissect import dissect
    from dissect.studies import measure

    run = dissect(
        "dissect.worlds.planted:generator",
        "colour",
        out=tmp_path_factory.mktemp("runs") / "full",
        layers=["units", "units@rotation:0"],
        n_samples=128,
        coactivation=True,
        progress=False,
    )
    measured = {"layer": "units", "n_units": 1, "n_samples": 16, "n_search": 16, "draws": 1}
    for kind, curve in (("ablate", ("iou", "random")), ("insert", ())):
        measure(run, kind, concept="red", curve=curve, progress=False, **measured)
    measure(run, "context", concept="red", side=16, progress=False, **measured)
    measure(run, "repair", bad=(("units", 3),), n_samples=16, draws=0, progress=False)
    shared_folders.add(run.path)
    return run


@pytest.fixture(scope="session")
def site(full_run, tmp_path_factory):
    """The report of the full run, a folder."""
    from reports import build_report

    return build_report(full_run, out=tmp_path_factory.mktemp("report") / "site").parent


@pytest.fixture
def open_page(chromium):
    """Open an address; whatever goes wrong on it fails the test when it ends."""
    problems, opened = [], []

    def open_(path, address="", *, width=1440, **options):
        view = chromium.new_page(viewport={"width": width, "height": 900}, **options)
        view.set_default_timeout(1000 * patience.PAGE)
        opened.append(view)
        view.on("console", lambda message: problems.append(message.text))
        view.on("pageerror", lambda error: problems.append(str(error)))
        view.on("requestfailed", lambda request: problems.append(request.url))
        view.on(
            "request",
            lambda request: (
                request.url.startswith(("file:", "data:")) or problems.append(request.url)
            ),
        )
        view.goto(path.as_uri() + address)
        return view

    yield open_
    for view in opened:
        view.close()
    assert problems == []
