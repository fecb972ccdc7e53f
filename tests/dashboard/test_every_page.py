"""What holds for every page: no serious barrier in light and dark, legible, and fit for 390 px."""

import json
import shutil
from urllib.parse import urlsplit

import pytest

from dashboard.routing import discover
from tests.directions.folders import add_directions

# An address for each page, and some more of those that look different.
ADDRESSES = {
    "runs": "/",
    "compare": "/compare?a=planted&b=evil",
    "overview": "/run/planted",
    "units": "/run/planted/units?certainty=all",
    "chosen": "/run/planted/chosen?units=" + ",".join(f"units:{n}" for n in range(9)),
    "unit": "/run/planted/layer/units/unit/0",
    "concept": "/run/planted/concept/red",
    "paint": "/run/planted/paint?concept=red",
    "directions": "/run/planted/directions",
    "own": "/run/planted/own",
    "effects": "/run/planted/effects?name=ablate-red-units-1-iou",
    "blind": "/run/planted/blind",
    "notes": "/run/planted/notes",
}
# What a renderer makes, on pages that have it.
MADE = {
    ADDRESSES["paint"]: "#paint-after[src]",
    ADDRESSES["unit"]: ".shot",
    ADDRESSES["directions"]: "#directions-moved[src]",
}
MORE = (
    "/compare",
    "/run/planted/units?view=table",
    "/run/planted/units?search=nonsense",
    "/run/evil/units",
    "/run/broken",
    "/run/lost/effects",
    "/run/lost/directions",
)

# Text that is seen and smaller than 12 pixels.
_SMALL = """() => {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const one = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
    if (text && one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length
        && parseFloat(getComputedStyle(one).fontSize) < 12) found.push(text.slice(0, 40));
  }
  return found;
}"""
# What makes the page wider than the screen.
_WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1
    && ![...Array(30)].reduce(([at, hidden]) => at ? [at.parentElement, hidden
      || (at.parentElement && getComputedStyle(at.parentElement).overflowX !== "visible")]
      : [at, hidden], [one, false])[1])
  .map((one) => one.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def pages_url(made_runs, tmp_path_factory, serving):
    """A dashboard over runs in every state, one of whose generators is gone."""
    folder = shutil.copytree(made_runs, tmp_path_factory.mktemp("pages") / "runs")
    shutil.copytree(folder / "planted", folder / "lost")
    add_directions(folder / "planted")
    record = json.loads((folder / "lost" / "run.json").read_text())
    record["config"]["generator"] = "gone/model.pkl"
    (folder / "lost" / "run.json").write_text(json.dumps(record))
    with serving(folder) as url:
        yield url


@pytest.fixture(scope="module")
def first_url(tmp_path_factory, serving):
    """A dashboard over an empty folder."""
    with serving(tmp_path_factory.mktemp("first")) as url:
        yield url


def _serious(page):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        (one["id"], [node["html"][:200] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def _check(page, until, fits):
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")
    assert _serious(page) == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.locator("html[data-mantine-color-scheme=dark]").wait_for()
    assert _serious(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    try:
        until(lambda: fits(page))
    except AssertionError:
        raise AssertionError(page.evaluate(_WIDE)) from None
    assert page.evaluate(_SMALL) == []


@pytest.mark.parametrize(
    "address",
    [*ADDRESSES.values(), *(pytest.param(one, marks=pytest.mark.slow) for one in MORE)],
)
def test_a_page_has_no_barriers_is_legible_and_fits_a_telephone(
    page, pages_url, until, fits, address
):
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(pages_url + address)
    if address in MADE:
        page.locator(MADE[address]).first.wait_for()
    _check(page, until, fits)


def test_so_has_the_first_visit(page, first_url, until, fits):
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(first_url)
    _check(page, until, fits)


def test_each_page_has_an_address_here():
    every = discover().pages
    assert sorted(f"dashboard.pages.{name}" for name in ADDRESSES) == sorted(every)
    for name, address in ADDRESSES.items():
        parts = every[f"dashboard.pages.{name}"].template.split("/")
        given = urlsplit(address).path.split("/")
        assert all(
            part in (other, "") or "<" in part for part, other in zip(parts, given, strict=True)
        )
