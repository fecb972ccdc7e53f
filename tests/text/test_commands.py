"""``dissect text`` as a person uses it."""

import json

import numpy as np
import pandas as pd
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
        (("edit", "G", "a", "b"), "text edit was given 2 texts; expected one, in quotes"),
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


def test_words_are_painted_into_a_box_or_a_mask_and_nowhere_else(network_file, tmp_path, capsys):
    out = tmp_path / "painted.png"
    short = (
        "--draws",
        2,
        "--generations",
        2,
        "--population",
        4,
        "--refine",
        2,
        "--crops",
        0,
        "--quiet",
    )
    given = ("text", "paint", network_file, "night", "--out", out, *short)
    assert run(*given, "--box", "8,8,16,16", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["distance"]["after"] <= found["distance"]["before"]
    assert found["leak"]["mean"] >= 0
    with Image.open(out) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    before, after = pixels[:, : picture.height], pixels[:, -picture.height :]
    half = picture.height // 2
    assert np.array_equal(before[:half], after[:half])
    assert np.array_equal(before[:, :half], after[:, :half])
    mask = np.zeros((16, 16), np.uint8)
    mask[8:, 8:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    painted = out.read_bytes()
    assert run(*given, "--mask", tmp_path / "mask.png") == 0
    assert "the original's bits" in capsys.readouterr().out
    assert out.read_bytes() == painted
    for wrong, said in (
        ((), "text paint needs a region"),
        (("--box", "1,2,3"), "region has 3 numbers"),
        (("--box", "a,b,c,d"), "expected top,left,bottom,right in pixels"),
        (("--mask", tmp_path / "no.png"), "cannot be read"),
    ):
        assert run(*given, *wrong) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_a_mapper_is_trained_once_and_read_again(network_file, tmp_path, capsys):
    out, file = tmp_path / "night.png", tmp_path / "night.safetensors"
    given = ("text", "edit", network_file, "night", "--out", out, "--way", "mapper", "--quiet")
    assert run(*given, "--mapper-steps", 2, "--crops", 0) == 0
    written, first = file.read_bytes(), out.read_bytes()
    assert run(*given, "--mapper-steps", 1000000) == 0  # it is not trained again
    assert (file.read_bytes(), out.read_bytes()) == (written, first)
    assert run(*given, "--strength", 0, "--json") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["cosine"]["after"] == pytest.approx(found["cosine"]["before"], abs=1e-6)
    again = ("text", "edit", network_file, "snow", "--out", out, "--way", "mapper")
    assert run(*again, "--mapper", file, "--quiet") == 2
    assert "holds a mapper for 'night', not 'snow'" in capsys.readouterr().err


def test_units_of_a_run_get_words_beside_their_labels(planted_run, tmp_path, capsys):
    out = tmp_path / "words.csv"
    given = ("text", "label", planted_run.path, "--out", out, "--quiet", "--top", 20)
    assert run(*given, "--choices", "snow|night|a house", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["words"] == ["snow", "night", "a house"]
    assert found["units"] == sum(info.units for info in planted_run.layers.values())
    table = pd.read_csv(out)
    assert len(table) == found["units"]
    assert table.above_chance.sum() == found["above_chance"]
    assert run(*given, "--choices", "snow|a red dragon") == 2
    assert "never saw the word 'dragon'" in capsys.readouterr().err
    assert run("text", "label", planted_run.path, "snow", "--out", out) == 2
    assert "expected none, the words are --choices" in capsys.readouterr().err
