"""Units are searched by words where no name matches: in the renderer, on the page, in Chromium."""

import re

import pytest
import torch
from playwright.sync_api import expect

from dashboard import Settings, create_app
from dashboard.components import words
from dashboard.pages.units import results
from dashboard.rendering.answers import Responder
from dashboard.rendering.frames import Frame
from dashboard.unit_filter import UnitFilter
from dissect.errors import ConfigError
from segmenters.colour import TYPICAL
from tests import patience

TEXTS = {"purple": (1.0, 0.0), "black": (0.0, 1.0)}
RARE = 4  # the planted unit that paints purple, in one image of eight


class Towers:
    """Vectors of images say how much of them is purple; it knows three words."""

    name, fingerprint = "colours", "colours"

    def encode_images(self, images):
        colour = [int(TYPICAL["purple"][i : i + 2], 16) / 127.5 - 1 for i in (1, 3, 5)]
        near = (images - torch.tensor(colour)[:, None, None]).abs().amax(dim=1) < 0.1
        share = near.float().mean(dim=(1, 2))
        return torch.nn.functional.normalize(torch.stack([100 * share, 1 - share], 1), dim=1)

    def encode_texts(self, texts, *, templates=("{}",)):
        return torch.tensor([TEXTS[text.split()[-1]] for text in texts])

    def known_templates(self):
        return ("{}",)

    def unknown_words(self, text):
        return [word for word in text.split() if word not in (*TEXTS, "so")]


@pytest.fixture(scope="module")
def responder(planted_run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashboard.rendering.words.load_clip", lambda name, *, device: Towers())
        yield Responder(str(planted_run.path))


def found(responder, text):
    return responder.answer(Frame({"ask": "words", "model": "colours", "text": text})).content


def test_the_unit_that_draws_purple_is_found_by_words_for_it(responder, planted_run):
    answer = found(responder, "so purple")
    assert answer["units"][0][:2] == ["units", RARE]
    assert answer["count"] == len(answer["units"])
    scores = [z for _, _, z in answer["units"]]
    assert scores == sorted(scores, reverse=True)
    # Nothing else of the images changes with it.
    assert scores[0] > 5
    assert len(scores) <= 2
    assert answer["images"] == planted_run.config.n_samples
    assert answer["top"] == answer["images"] // 4


@pytest.mark.parametrize(
    ("text", "told"),
    [("so mauve", "never saw the word 'mauve'"), (" ", "expected words"), (7, "text is 7"),
     (None, "text is None")],
)  # fmt: skip
def test_what_are_no_words_is_told_in_one_line(responder, text, told):
    with pytest.raises(ConfigError, match=told):
        found(responder, text)


@pytest.mark.parametrize(
    ("search", "model", "asked"),
    [("a house at night", "any", True), ("red", "any", False), ("unit 3", "any", False),
     ("", "any", False), ("a house at night", None, False)],
)  # fmt: skip
def test_words_are_asked_for_only_where_no_name_matches(
    runs_dir, monkeypatch, search, model, asked
):
    app = create_app(runs_dir, Settings(words=model))
    with app.server.test_request_context():
        from dashboard import context

        opened = context.current().store.open("planted")
        # Nothing is so clear: the other choices leave no unit, whatever the search finds.
        page = str(results(opened, UnitFilter(search=search, iou=1.0, certainty="causal")))
    assert ("units-words-of" in page) == asked
    assert ("--words MODEL" in page) == (search == "a house at night" and model is None)


def test_scenes_have_their_own_model(scenes_run, runs_dir):
    for folder, name, model in ((scenes_run.parent, "scenes", "scenes-clip"),
                                (runs_dir, "planted", None)):  # fmt: skip
        app = create_app(folder)
        with app.server.test_request_context():
            from dashboard import context

            assert words.model_for(context.current().store.open(name)) == model


@pytest.mark.slow
def test_units_are_found_by_words_that_are_no_concept(page, scenes_url):
    page.set_default_timeout(1000 * patience.PROCESS)  # 128 images are made
    page.goto(f"{scenes_url}/run/scenes/units")
    search = page.get_by_label("Search")
    search.fill("a house at night")
    answer = page.locator("#units-words")
    answer.get_by_text(re.compile("the top images of [0-9]+ units? fit")).wait_for()
    scores = [
        float(re.search(r"fits by ([0-9.]+) σ", told)[1])
        for told in answer.locator(".card .measured").all_inner_texts()
    ]
    assert scores == sorted(scores, reverse=True)
    search.fill("a house at brillig")
    answer.get_by_text("scenes-clip never saw the word 'brillig'").wait_for()
    search.fill("a house at night")
    place = answer.locator(".card").first.locator(".names .quiet")
    layer, unit = re.fullmatch(r"(.+) · unit ([0-9]+)", place.inner_text()).groups()
    place.click()
    page.wait_for_url(f"**/layer/{layer}/unit/{unit}")
    expect(page.locator("#images-status")).to_contain_text(
        "of the pixels", timeout=1000 * patience.PROCESS
    )
