"""``dissect invert`` and ``dissect restore`` as a person uses them."""

import json

import pytest
import torch
from PIL import Image

from dissect.cli import main
from dissect.generators.families import load_file
from dissect.generators.stylegan2 import StyleGAN2Config, StyleGAN2Network, save_stylegan2
from dissect.inversion.inversion import read_inversion
from dissect.pictures import to_picture


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    torch.manual_seed(0)
    config = StyleGAN2Config(
        image_size=16, channels=(16, 16, 8), z_size=8, w_size=8, mapping_depth=2
    )
    network = StyleGAN2Network(config)
    with torch.no_grad():  # images inside [-1, 1]
        for size in (4, 8, 16):
            network.synthesis.block(size).torgb.weight.mul_(0.15)
    path = tmp_path_factory.mktemp("networks") / "tiny.safetensors"
    save_stylegan2(network, path)
    return path


@pytest.fixture
def pictures(network_file, tmp_path):
    generator = load_file(network_file, name="tiny")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k, image in enumerate(generator.synthesize(generator.sample(range(2), seed=4))):
        to_picture(image).save(folder / f"{k}.png")
    return folder


def run(*words) -> int:
    return main([str(word) for word in words])


SMALL = ("--steps", 40, "--starts", 2, "--quiet")


def test_a_folder_is_inverted_and_taken_up(network_file, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("invert", network_file, pictures, "--out", out, *SMALL, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["image"] for row in told["images"]] == [str(pictures / f"{k}.png") for k in (0, 1)]
    generator = load_file(network_file, name="tiny")
    for k, row in enumerate(told["images"]):
        one = read_inversion(out / f"{k}.safetensors")
        one.check(generator)
        assert row["mse"] == pytest.approx(one.errors["mse"])
        assert row["mse"] < 5e-3
        with Image.open(out / f"{k}.png") as sheet:
            assert sheet.width > 2 * 256
    before = (out / "0.safetensors").stat().st_mtime_ns
    (out / "1.safetensors").unlink()
    again = ("invert", network_file, pictures, "--out", out, *SMALL, "--json", "--resume")
    assert run(*again) == 0
    assert json.loads(capsys.readouterr().out) == told
    assert (out / "0.safetensors").stat().st_mtime_ns == before


def test_the_population_of_a_folder_is_taken_once(network_file, pictures, tmp_path, monkeypatch):
    from dissect.inversion import coordinates

    population, calls = coordinates._population, []
    monkeypatch.setattr(
        coordinates, "_population", lambda *given: calls.append(1) or population(*given)
    )
    quick = ("--steps", 1, "--starts", 1, "--quiet")
    assert run("invert", network_file, pictures, "--out", tmp_path / "a", *quick) == 0
    assert len(calls) == 1
    grey = ("restore", network_file, pictures, "--task", "colorize", "--simulate", "grey")
    assert run(*grey, "--out", tmp_path / "b", *quick) == 0
    assert len(calls) == 2


def test_a_search_begins_at_an_encoder_and_takes_noise_along(
    network_file, pictures, tmp_path, capsys
):
    from dissect.inversion.encoder import Encoder, EncoderNetwork, read_encoder

    generator = load_file(network_file, name="tiny")
    shape = generator.spaces["w+"].shape
    mean = generator.mean_w().expand(shape).clone()
    encoder = Encoder(
        EncoderNetwork(size=16, channels=3, shape=shape), space="w+", mean=mean,
        spread=torch.ones(shape), generator=generator.fingerprint,
    )  # fmt: skip
    file = encoder.save(tmp_path / "encoder.safetensors")
    words = ("invert", network_file, pictures / "0.png", "--out", tmp_path / "out")
    more = ("--encoder", file, "--noise", "--quiet", "--json")
    assert run(*words, *more, "--steps", 20) == 0
    (row,) = json.loads(capsys.readouterr().out)["images"]
    one = read_inversion(tmp_path / "out" / "0.safetensors")
    assert one.settings["encoder"] == read_encoder(file).fingerprint
    assert len(one.noise) == 5
    assert row["mse"] < 0.05
    assert run(*words, "--encoder", "own", "--quiet") == 2
    error = capsys.readouterr().err
    assert "has no encoder to w+; expected" in error
    assert error.count("\n") == 1


def test_tuning_comes_nearer_still(network_file, pictures, tmp_path, capsys):
    words = ("invert", network_file, pictures / "0.png", "--out", tmp_path / "out", "--tune")
    few = ("--tuning-steps", 40, "--steps", 10, "--starts", 1, "--quiet", "--json")
    for more in ((), ("--progressive",)):
        assert run(*words, *few, *more) == 0
        (row,) = json.loads(capsys.readouterr().out)["images"]
        assert row["tuned mse"] < row["mse"]


@pytest.mark.parametrize(
    ("task", "spoiled"),
    [("colorize", "grey"), ("upscale:2", "down:2"), ("inpaint:hole:4,4,12,12", "hole:4,4,12,12"),
     ("denoise", "noise:30")],
)  # fmt: skip
def test_images_are_restored(network_file, pictures, tmp_path, capsys, task, spoiled):
    words = ("restore", network_file, pictures / "1.png", "--out", tmp_path / "out")
    assert run(*words, "--task", task, "--simulate", spoiled, "--space", "w", *SMALL, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["images"]
    assert set(row["truth"]) == {"baseline", "image", "consistent"}
    assert row["truth"]["consistent"]["psnr"] >= row["truth"]["image"]["psnr"] - 0.5
    assert row["truth"]["image"]["psnr"] > row["truth"]["baseline"]["psnr"]
    assert (tmp_path / "out" / "1-restored.png").exists()


def test_a_small_picture_is_enlarged(network_file, pictures, tmp_path, capsys):
    with Image.open(pictures / "0.png") as image:
        image.resize((8, 8), Image.Resampling.BOX).save(tmp_path / "small.png")
    words = ("restore", network_file, tmp_path / "small.png", "--task", "upscale:2")
    assert run(*words, "--out", tmp_path / "out", *SMALL) == 0
    assert "against what was seen" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("missing.png",), "cannot be read as an image"),
        ((".", "--space", "v"), "--space"),
        (("0.png", "--space", "z+"), "--space"),
        (("0.png", "--perceptual", "1"), "expected --features vgg16"),
        (("0.png", "--label", "3"), "label"),
    ],
)
def test_mistakes_are_one_line(network_file, pictures, tmp_path, capsys, words, message):
    image, *rest = words
    status = run("invert", network_file, pictures / image, *rest, "--out", tmp_path, *SMALL)
    error = capsys.readouterr().err
    assert status == 2
    assert error.count("\n") == 1
    assert message in error


def test_pictures_that_cannot_be_taken_are_one_line(network_file, pictures, tmp_path, capsys):
    """Not an image, 100 megapixels, a mask of another size, a space that the generator lacks."""
    text, large, mask = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    text.write_text("no image")
    Image.new("1", (10_000, 10_000)).save(large)
    half = Image.new("L", (32, 32))
    half.paste(255, (0, 0, 16, 16))
    half.save(mask)
    one, out = pictures / "0.png", ("--out", tmp_path / "out", *SMALL)
    inpaint = ("restore", network_file, one, "--task", f"inpaint:{mask}")
    for words, message in (
        (("invert", network_file, text), "a.png cannot be read as an image"),
        (("invert", network_file, large), "has 10,000 × 10,000 pixels; expected at most"),
        (inpaint, "the mask has 32 × 32 pixels, the image 16 × 16; expected the same"),
        (("invert", "scenes-pggan", one), "space 'w+' is not one that images can be inverted into"),
    ):
        assert run(*words, *out) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_a_task_of_another_name(network_file, pictures, tmp_path, capsys):
    words = ("restore", network_file, pictures / "0.png", "--task", "colour", "--out", tmp_path)
    assert run(*words) == 2
    assert "did you mean 'colorize'" in capsys.readouterr().err


def test_a_point_is_dragged(network_file, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("invert", network_file, pictures / "0.png", "--out", out, *SMALL) == 0
    capsys.readouterr()
    words = ("drag", network_file, "--latent", out / "0.safetensors", "--move", "8,4>8,7")
    assert run(*words, "--out", tmp_path / "d.png", "--steps", 5, "--json", "--quiet") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["paths"][0][0] == [8, 4]
    assert len(told["distances"]) == 1
    with Image.open(tmp_path / "d.png") as sheet:
        assert sheet.size == (2 * 256 + 4, 256)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--move", "8,4"), "--move is '8,4'; expected ROW,COLUMN>ROW,COLUMN"),
        (("--move", "8,4>8,70"), "is not in the image; expected row and column from 0 to 15"),
        (("--move", "8,4>8,7", "--layer", "b99"), "layer 'b99' is not in"),
        (("--move", "8,4>8,7", "--mask", "1,2"), "expected four: top, left, bottom, right"),
    ],
)
def test_wrong_drags_are_one_line(network_file, tmp_path, capsys, words, message):
    assert run("drag", network_file, *words, "--out", tmp_path / "d.png", "--quiet") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
