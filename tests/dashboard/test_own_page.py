"""A picture of one's own: uploaded, inverted in sight, and moved along directions."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from dissect.directions.direction import Direction
from dissect.directions.folder import PARENT, DirectionFolder, write_folder
from dissect.generators.families import load_file
from dissect.generators.stylegan2 import StyleGAN2Config, StyleGAN2Network, save_stylegan2
from dissect.pictures import to_picture
from tests import patience

LONG = patience.PROCESS  # the renderer starts, and a busy machine takes long for 60 steps


@pytest.fixture(scope="module")
def own_runs(tmp_path_factory, shared_folders):
    """A folder with a run of a small StyleGAN2, two directions in w, and a picture of its own."""
    from dissect import dissect

    torch.manual_seed(0)
    config = StyleGAN2Config(
        image_size=16, channels=(16, 16, 8), z_size=8, w_size=8, mapping_depth=2
    )
    network = StyleGAN2Network(config)
    with torch.no_grad():  # images inside [-1, 1]
        for size in (4, 8, 16):
            network.synthesis.block(size).torgb.weight.mul_(0.15)
    folder = tmp_path_factory.mktemp("own")
    file = folder / "tiny.safetensors"
    save_stylegan2(network, file)
    runs = folder / "runs"
    run = dissect(str(file), "colour", out=runs / "tiny", n_samples=32, progress=False)
    generator = load_file(file, name="tiny")
    found = tuple(Direction(name, "w", np.eye(8)[k]) for k, name in enumerate(("one", "two")))
    about = {"name": generator.name, "fingerprint": generator.fingerprint}
    write_folder(DirectionFolder(run.path / PARENT / "sefa", found, about, "sefa"))
    (image,) = generator.synthesize(generator.sample([3], seed=77))
    to_picture(image).save(folder / "picture.png")
    shared_folders.add(runs)
    return folder


@pytest.fixture
def own_url(own_runs, serving):
    with serving(own_runs / "runs") as url:
        yield f"{url}/run/tiny/own"


def shown(page, name):
    return page.locator(f"#own-{name}").get_attribute("src") or ""


def pixels(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_picture_is_inverted_in_sight_and_moved(own_url, own_runs, page, until, fits):
    page.goto(own_url)
    page.get_by_text("No picture was uploaded yet.").wait_for()
    page.get_by_role("textbox", name="Steps").fill("60")
    page.locator("#own-upload input").set_input_files(own_runs / "picture.png")
    page.get_by_text("All steps are taken.").wait_for(timeout=1000 * LONG)
    status = page.locator("#own-status").inner_text()
    assert "Mean squared error 0.00" in status
    with Image.open(own_runs / "picture.png") as picture:
        truth = np.asarray(picture.convert("RGB")).astype(int)
    assert np.array_equal(pixels(shown(page, "seen")), truth)
    assert np.abs(pixels(shown(page, "found")) - truth).mean() < 12
    until(lambda: "data" in shown(page, "moved") and "data" in shown(page, "random"), LONG)
    assert shown(page, "moved") == shown(page, "random")
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(12):
        slider.press("ArrowRight")
    until(lambda: shown(page, "moved") != shown(page, "random"), LONG)
    until(
        lambda: not np.array_equal(pixels(shown(page, "moved")), pixels(shown(page, "found"))), LONG
    )
    page.set_viewport_size({"width": 390, "height": 800})
    until(lambda: fits(page))


def test_what_is_no_picture_is_said_and_stays(own_url, tmp_path, page):
    page.goto(own_url)
    page.get_by_text("No picture was uploaded yet.").wait_for()
    wrong = tmp_path / "wrong.png"
    wrong.write_bytes(b"no picture")
    page.locator("#own-upload input").set_input_files(wrong)
    page.get_by_text("the file cannot be read as an image").wait_for(timeout=1000 * LONG)


def test_a_run_without_directions_says_what_finds_them(dashboard_url, page):
    page.goto(f"{dashboard_url}/run/planted/own")
    page.get_by_text("No directions were found for this run yet.").wait_for()


def test_what_a_browser_sends_is_checked(own_runs, monkeypatch):
    # All steps come in one answer, however busy the machine is.
    monkeypatch.setattr("dashboard.rendering.inversion._SECONDS", patience.PROCESS)
    from dashboard.rendering.answers import Responder
    from dashboard.rendering.frames import Frame
    from dissect import DissectError

    responder = Responder(str(own_runs / "runs" / "tiny"))
    good = base64.b64encode((own_runs / "picture.png").read_bytes()).decode()
    begin = {"ask": "invert", "image": good, "space": "w", "steps": 5}
    first = responder.answer(Frame(begin))
    token = first.content["token"]
    last = responder.answer(Frame({"ask": "search", "token": token}))
    assert (first.content["step"], last.content["step"], last.content["fleeting"]) == (0, 5, True)
    assert last.content["mse"] <= first.content["mse"]
    own = {"ask": "own", "token": token, "folder": "sefa", "strengths": [1, 0]}
    plain, moved, random = responder.answer(Frame(own)).parts
    assert len({plain, moved, random}) == 3
    for question, line in (
        (begin | {"image": 3}, "or is none"),
        (begin | {"image": "%"}, "something else than a file"),
        (begin | {"image": base64.b64encode(b"x").decode()}, "cannot be read as an image"),
        (begin | {"space": "v"}, "space is 'v'"),
        (begin | {"steps": 0}, "steps is 0"),
        ({"ask": "search", "token": "x"}, "upload the picture again"),
        ({"ask": "search", "token": None}, "upload the picture again"),
        (own | {"folder": "../x"}, "are not in the run"),
        (own | {"strengths": [1]}, "expected 2 numbers"),
    ):
        with pytest.raises(DissectError, match=line) as caught:
            responder.answer(Frame(question))
        assert "\n" not in str(caught.value)
    for _ in range(4):
        responder.answer(Frame(begin))
    with pytest.raises(DissectError, match="is not kept any more"):
        responder.answer(Frame({"ask": "search", "token": token}))
