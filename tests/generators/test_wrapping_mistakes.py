"""Wrong ways to wrap a network: one line each, with what to write instead, which then works."""

import numpy as np
import pytest
import torch
from torch import nn

import dissect
from dissect.errors import GeneratorError
from dissect.testing import check_generator


class Net(nn.Module):
    """z of 8 numbers, perhaps with a class, to images of 16 pixels; ``change`` arranges them."""

    def __init__(self, change=torch.tanh, *, classes=0, listed=False, size=(4, 4), channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.change, self.size, self.listed = change, size, listed
        self.fc = nn.Linear(8 + classes, 8 * size[0] * size[1])
        self.c1 = nn.Conv2d(8, 6, 3, padding=1)
        self.out = nn.Conv2d(6, channels, 1)
        self.classes = classes

    def image(self, z):
        x = self.fc(z).view(-1, 8, *self.size)
        x = nn.functional.interpolate(torch.relu(self.c1(x)), scale_factor=4)
        return self.change(3 * self.out(x))

    def forward(self, z):
        return self.image(z[0] if self.listed else z)


class Conditional(Net):
    def forward(self, z, y):
        return self.image(torch.cat([z, nn.functional.one_hot(y, self.classes)], dim=1))


class Named:
    def __init__(self, sample):
        self.sample = sample


def listed_image(module, z, label):
    return module([z])


MISTAKES = {
    "images in [0, 1]": (
        lambda: Net(torch.sigmoid), {}, r"as of images in \[0, 1\].*image_range=\(0, 1\)",
        {"image_range": (0, 1)},
    ),
    "images in [0, 255]": (
        lambda: Net(lambda x: 255 * torch.sigmoid(x)), {}, r"image_range=\(0, 255\)",
        {"image_range": (0, 255)},
    ),
    "bytes": (
        lambda: Net(lambda x: (255 * torch.sigmoid(x)).byte()), {}, r"torch\.uint8.*\(0, 255\)",
        None,
    ),
    "far beyond [-1, 1]": (
        lambda: Net(lambda x: 50 * x), {}, r"far beyond it.*image_range=\(LOW, HIGH\)",
        {"image_range": (-100, 100)},
    ),
    "a tuple": (
        lambda: Net(lambda x: (x.mean(), torch.tanh(x))), {}, r"a tuple of \(\), \(2, 3.*output=1",
        {"output": 1},
    ),
    "a dictionary": (
        lambda: Net(lambda x: {"w": 0, "image": torch.tanh(x)}), {},
        r"a dict of 'w', 'image'.*output='image'", {"output": "image"},
    ),
    "an object": (
        lambda: Net(lambda x: Named(torch.tanh(x))), {}, r"a Named.*output='sample'",
        {"output": "sample"},
    ),
    "a wrong key": (
        lambda: Net(lambda x: {"image": torch.tanh(x)}), {"output": "img"},
        r"output='img'.*a dict of 'image'", {"output": "image"},
    ),
    "channels last": (
        lambda: Net(lambda x: torch.tanh(x).permute(0, 2, 3, 1)), {}, r"permute\(0, 3, 1, 2\)",
        {"output": lambda images: images.permute(0, 3, 1, 2)},
    ),
    "transparency": (
        lambda: Net(channels=4), {}, r"images\[:, :3\]", {"output": lambda images: images[:, :3]},
    ),
    "no square": (
        lambda: Net(size=(4, 8)), {}, "16 × 32; expected squares",
        {"output": lambda images: images[..., :16]},
    ),
    "another latent": (
        Net, {"sample": 9}, r"Net was called with \(2, 9\).*RuntimeError.*check sample=",
        {},
    ),
    "a class": (
        lambda: Conditional(classes=3), {}, "missing 1 required.*give n_classes=N",
        {"n_classes": 3, "label": "y"},
    ),
    "a list of latents": (
        lambda: Net(listed=True), {}, r"call=lambda module, z, label: module\(\[z\]\)",
        {"call": listed_image},
    ),
    "half precision": (lambda: Net().half(), {}, r"torch\.float16.*give module\.float\(\)", None),
    "bfloat16": (lambda: Net().bfloat16(), {}, r"bfloat16.*give module\.float\(\)", None),
    "double precision": (lambda: Net().double(), {}, r"float64.*module\.float\(\)", None),
    "not a number": (lambda: Net(lambda x: x / 0), {}, "gives NaN or infinity", None),
    "a function": (lambda: torch.tanh, {}, r"expected a torch\.nn\.Module", None),
    "a label without classes": (Net, {"label": "y"}, "without n_classes", {}),
    "a range upside down": (Net, {"image_range": (1, 0)}, r"\(lowest, highest\)", {}),
    "arrays as latents": (
        Net, {"sample": lambda i, seed: np.zeros((len(i), 8))}, "gave ndarray", {},
    ),
    "a drawing function that fails": (
        Net, {"sample": lambda i: i}, "function sample was called.*TypeError", {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_what_it_says_works(mistake):
    make, settings, message, instead = MISTAKES[mistake]
    with pytest.raises(GeneratorError, match=message) as told:
        dissect.wrap(make(), **({"sample": 8} | settings), name="mine")
    assert "\n" not in str(told.value)
    if instead is not None:
        check_generator(dissect.wrap(make(), sample=8, name="mine", **instead))


def test_a_tanh_whose_samples_happen_to_be_positive_is_in_its_range():
    module = Net(lambda x: torch.tanh(x.abs() + 0.1))
    images = dissect.wrap(module, sample=8).synthesize(
        dissect.wrap(module, sample=8).sample([0], seed=0)
    )
    assert images.min() >= 0


def test_a_sigmoid_is_told_whatever_moves_its_values():
    module = Net(lambda x: torch.sigmoid(x).permute(0, 2, 3, 1)[..., :3])
    with pytest.raises(GeneratorError, match=r"as of images in \[0, 1\]"):
        dissect.wrap(module, sample=8, output=lambda images: images.permute(0, 3, 1, 2))


def test_a_range_is_brought_to_that_of_images():
    unit = dissect.wrap(Net(torch.sigmoid), sample=8, image_range=(0, 1))
    latent = unit.sample([0, 1], seed=0)
    with torch.no_grad():
        images = unit.synthesize(latent)
        torch.testing.assert_close(images, 2 * unit.module(latent.data) - 1)


def test_a_label_reaches_the_network():
    module = Conditional(classes=3)
    for settings in ({"n_classes": 3}, {"n_classes": 3, "label": "y"}):
        generator = dissect.wrap(module, sample=8, **settings)
        latent = generator.sample([4, 5], seed=0, label=2)
        with torch.no_grad():
            expected = module(latent.data, torch.tensor([2, 2]))
            torch.testing.assert_close(generator.synthesize(latent), expected)
        assert set(generator.sample(range(40), seed=0).label.tolist()) == {0, 1, 2}


def test_settings_are_part_of_the_fingerprint_but_a_plain_wrap_has_the_old_one():
    plain = dissect.wrap(Net(), sample=8).fingerprint
    assert plain == dissect.wrap(Net(), sample=8, image_range=(-1, 1)).fingerprint
    assert plain != dissect.wrap(Net(), sample=8, image_range=(-2, 2)).fingerprint


def test_a_network_that_fails_later_is_told_with_its_cause():
    generator = dissect.wrap(Net(), sample=8, name="mine")
    generator.module.change = lambda x: {}["lost"]
    with pytest.raises(GeneratorError, match=r"mine failed: Net was called.*KeyError") as told:
        generator.synthesize(generator.sample([0], seed=0))
    assert isinstance(told.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make():\n    return 1 / 0", r"make\(\) was called and raised ZeroDivisionError"),
        ("import torch\n\n\ndef make():\n    return torch.nn.ReLU()", "give dissect.wrap"),
        ("def make(:", "was imported and raised SyntaxError"),
    ],
)
def test_a_factory_that_fails_is_one_line(tmp_path, monkeypatch, text, message):
    name = f"factory_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GeneratorError, match=message) as told:
        dissect.load_generator(f"{name}:make")
    assert "\n" not in str(told.value)
