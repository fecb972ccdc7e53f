"""Networks that look at images, dissected over photographs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from dissect import load_generator, open_run
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.image_networks import ImageNetwork, Photographs
from dissect.tracing import trace

COLOURS = {"red": (230, 25, 25), "green": (25, 160, 25), "blue": (25, 25, 230)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """48 pictures: a rectangle of one of three colours on black."""
    folder = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for k in range(48):
        pixels = np.zeros((40, 60, 3), np.uint8)
        top, left = draw.integers(0, 20), draw.integers(10, 30)
        pixels[top : top + 15, left : left + 15] = list(COLOURS.values())[k % 3]
        Image.fromarray(pixels).save(folder / f"{k:03}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


class Eye(nn.Module):
    """Units 0 to 2 fire where a colour is, unit 3 nowhere in particular."""

    image_size = 32

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        with torch.no_grad():
            self.conv.weight.copy_(
                torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [0, 0, 0]])[:, :, None, None]
            )
            self.conv.bias.copy_(torch.tensor([-0.5, -0.5, -0.5, 0]))
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Sequential(nn.Sequential(nn.AvgPool2d(2)), nn.Identity())

    def forward(self, x):
        y = self.head(self.act(self.conv(x)))
        return self.act(y).mean(dim=(2, 3))  # called twice


def eye():
    return Eye()


EYE = "tests.generators.test_image_networks:eye"


@pytest.fixture(scope="module")
def network(photos):
    return load_generator(f"{EYE}?images={photos}")


def test_its_samples_are_the_photographs_by_name(network, photos):
    latent = network.sample([5, 0], seed=3)
    assert latent.data.shape == (2, 3, 32, 32)
    with Image.open(photos / "005.png") as picture:
        cut = picture.convert("RGB").resize((48, 32), Image.Resampling.LANCZOS).crop((8, 0, 40, 32))
    expected = torch.from_numpy(np.asarray(cut).copy()).permute(2, 0, 1) / 127.5 - 1
    assert (latent.data[0] - expected).abs().max() < 0.1  # another order of cutting and scaling
    assert torch.equal(network.synthesize(latent), latent.data)
    assert len(network) == 48


def test_its_layers_are_the_outermost_modules_that_put_out_a_map_once(network):
    # act is called twice; head and both modules inside it put out one tensor.
    assert list(network.layers) == ["conv", "head"]
    assert (network.layers["head"].units, network.layers["head"].height) == (4, 16)
    latent = network.sample([1], seed=0)
    with trace(network, "all") as maps:
        network.synthesize(latent)
    expected = network.module.conv(latent.data)
    assert torch.equal(maps["conv"], expected)  # not what an activation in place makes of it


def test_a_run_names_the_units_that_fire_where_a_colour_is(photos, tmp_path, command):
    out = tmp_path / "r"
    done = command(
        "run", EYE, "--images", photos, "--segmenter", "colour", "--samples", 48, "--out", out,
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["layers"]
    run = open_run(out)
    table = run.units("conv").set_index("unit")
    assert table.concept.loc[[0, 1, 2]].tolist() == list(COLOURS)
    assert (table.iou.loc[[0, 1, 2]] > 0.7).all()
    assert command("report", out).returncode == 0
    done = command("ablate", out, "--concept", "red", "--units", 1)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "its layers can only be read: the network looks at images" in done.stderr
    done = command("run", EYE, "--images", photos, "--latents", "a.npy", "--segmenter", "colour",
                   "--out", tmp_path / "b")  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_classifier_of_torchvision_is_read_with_a_state_dict_of_ones_own(photos, tmp_path):
    torch.manual_seed(0)
    own = models.squeezenet1_1(weights=None, num_classes=5)
    torch.save(own.state_dict(), tmp_path / "own.pth")
    network = load_generator(f"torchvision:squeezenet1_1@{tmp_path / 'own.pth'}?images={photos}")
    assert (network.image_size, network.family) == (224, "SqueezeNet")
    latent = network.sample([0, 1], seed=0)
    with trace(network, ["features.4"]) as maps:
        network.synthesize(latent)
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    normalised = ((latent.data + 1) / 2 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[
        :, None, None
    ]
    expected = own.eval().features[:5](normalised)
    torch.testing.assert_close(maps["features.4"], expected)


def test_the_fingerprint_is_that_of_the_network_and_of_the_photographs(network, photos, tmp_path):
    again = load_generator(f"{EYE}?images={photos}")
    assert again.fingerprint == network.fingerprint
    for path in photos.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (8, 8)).save(tmp_path / "000.png")
    other = ImageNetwork(eye(), Photographs(tmp_path, 32), name="eye")
    assert other.fingerprint != network.fingerprint


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("{eye}?images=nowhere", ConfigError, "nowhere is not a folder; expected one with PNG"),
        ("{eye}?images={empty}", ConfigError, "holds no PNG, JPEG or WebP images"),
        ("scenes-stylegan2?images={photos}", GeneratorError, "expected a network that looks at"),
        ("torchvision:resnet81?images={photos}", GeneratorError, "did you mean 'resnet18'?"),
        ("torchvision:resnet18@BEST?images={photos}", GeneratorError, "has no weights 'BEST'"),
        ("torch:tensor?images={photos}", GeneratorError, "was called and raised"),
        ("dissect.worlds.planted:generator?images={photos}", GeneratorError, "expected an object"),
    ],
)
def test_a_mistake_is_one_line(photos, tmp_path, spec, error, message):
    with pytest.raises(error, match=message) as caught:
        load_generator(spec.format(eye=EYE, photos=photos, empty=tmp_path))
    assert "\n" not in str(caught.value)


def test_more_samples_than_photographs_and_classes_are_refused(network, photos):
    with pytest.raises(GeneratorError, match=r"sample 48 is not in .*, which holds 48 images"):
        network.sample([48], seed=0)
    with pytest.raises(GeneratorError, match="photographs have no class"):
        network.sample([0], seed=0, label=1)
    with pytest.raises(GeneratorError, match="expected 1: photographs are taken as they are"):
        network.convert(network.sample([0], seed=0), "image", truncation=0.5)
    with pytest.raises(GeneratorError, match="no module that puts out a map"):
        ImageNetwork(nn.Flatten(), Photographs(photos, 8), name="flat")
