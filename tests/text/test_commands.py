"""``dissect text`` as a person uses it."""

import json

import pytest
import torch
from PIL import Image

pytest.importorskip("open_clip", reason="open_clip is not installed")

from dissect.cli import main
from dissect.directions.folder import open_folder
from dissect.generators.stylegan2 import StyleGAN2Config, StyleGAN2Network, save_stylegan2

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    torch.manual_seed(0)
    config = StyleGAN2Config(image_size=16, channels=(6, 6, 4), z_size=8, w_size=8, mapping_depth=2)
    path = tmp_path_factory.mktemp("networks") / "tiny.safetensors"
    save_stylegan2(StyleGAN2Network(config), path)
    return path


def run(*words) -> int:
    return main([str(word) for word in words])


def test_an_image_is_edited_by_words_and_written_beside_its_start(network_file, tmp_path, capsys):
    out = tmp_path / "night.png"
    given = ("text", "edit", network_file, "night", "--out", out, "--steps", 12, "--keep-near", 0)
    assert run(*given, "--crops", 1, "--quiet", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cosine"]["after"] > found["cosine"]["before"]
    with Image.open(out) as picture:
        assert picture.width > 2 * picture.height - 16


def test_a_direction_of_two_texts_is_a_folder_of_directions(network_file, tmp_path, capsys):
    out = tmp_path / "words" / "night"
    given = ("text", "directions", network_file, "night", "daylight", "--out", out, "--images", 2)
    more = ("--screened", 0.3, "--relevance", 0, "--quiet", "--json")
    assert run(*given, *more) == 0
    found = json.loads(capsys.readouterr().out)
    folder = open_folder(out)
    assert [one.name for one in folder.directions] == ["night"]
    assert int((folder.directions[0].vector != 0).sum()) == found["channels"] > 0
    assert folder.strip(0)
    assert (tmp_path / "words" / "effects.safetensors").is_file()
    assert run(*given, "--screened", 0.3, "--relevance", 5, "--quiet") == 2
    assert "no channel passes β = 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("edit", "G", "a", "b"), "text edit was given 2 texts; expected one text"),
        (("directions", "G", "a"), "text directions was given 1 texts; expected two"),
        (("edit", "G", "a red dragon"), "never saw the word 'dragon'"),
        (("directions", "G", "night", "night"), "are the same words"),
    ],
)
def test_a_mistake_is_one_line(network_file, tmp_path, capsys, words, said):
    words = [network_file if word == "G" else word for word in words]
    small = ("--images", 1, "--screened", 0.1) if words[-1] == "night" else ()
    assert run("text", *words, "--out", tmp_path / "o", *small, "--quiet") == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
