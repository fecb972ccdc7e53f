"""Predictors of one's own: areas of concepts, a function, an ONNX file, a table of scores."""

import numpy as np
import pytest
import torch

from segmenters import Predictor, load_predictor, load_segmenter
from segmenters.errors import SegmenterError
from segmenters.predictors.faces_attributes import FacesAttributes, build_networks
from segmenters.predictors.table import load_scores
from segmenters.testing import check_predictor
from tests.generators.onnx_files import field, model, node, tensor, value

IMAGES = torch.rand(3, 3, 16, 24) * 2 - 1


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of predictors in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_predictors.py").write_text(
        "import numpy as np\n"
        "from segmenters import load_predictor\n"
        "def bright(images):\n"
        "    return images.mean(dim=(1, 2, 3))\n"
        "def rgb(images):\n"
        "    return images.mean(dim=(2, 3))\n"
        "rgb.attributes = ('red', 'green', 'blue')\n"
        "def arrays(images):\n"
        "    return np.ones((len(images), 2))\n"
        "def two(images):\n"
        "    return images.mean(dim=(2, 3))[:, :2]\n"
        "two.attributes = ('a', 'b', 'c')\n"
        "def twice(images):\n"
        "    return rgb(images)\n"
        "twice.attributes = ('a', 'a', 'b')\n"
        "def whole(images):\n"
        "    return images.mean()\n"
        "def words(images):\n"
        "    return 'high'\n"
        "def fails(images):\n"
        "    raise RuntimeError('first\\nsecond')\n"
        "def make(size=3):\n"
        "    return load_predictor('scenes')\n"
        "def odd():\n"
        "    return 5\n"
        "number = 5\n"
    )
    yield
    import sys

    sys.modules.pop("own_predictors", None)


def test_a_function_of_images_is_a_predictor(own):
    rgb = load_predictor("own_predictors:rgb")
    assert isinstance(rgb, Predictor)
    assert rgb.attributes == ("red", "green", "blue")
    images = IMAGES.clone().requires_grad_(True)
    values = rgb.predict(images)
    torch.testing.assert_close(values, IMAGES.mean(dim=(2, 3)))
    assert torch.autograd.grad(values.sum(), images)[0].abs().max() > 0
    bright = load_predictor("own_predictors:bright")
    assert bright.attributes == ("bright",)
    assert bright.predict(IMAGES).shape == (3, 1)
    arrays = load_predictor("own_predictors:arrays")
    assert arrays.attributes == ("arrays 0", "arrays 1")
    assert arrays.predict(IMAGES).tolist() == [[1, 1]] * 3
    assert len({p.fingerprint for p in (rgb, bright, arrays)}) == 3
    assert load_predictor("own_predictors:rgb").fingerprint == rgb.fingerprint


def test_a_factory_is_called(own):
    assert load_predictor("own_predictors:make").name == "scenes"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("words", "gave a str; expected a tensor"),
        ("whole", r"gave values of the shape \(\) for 1 images"),
        ("fails", "raised RuntimeError: first second; the error is in that function"),
        ("twice", r"lists the attributes \('a', 'a', 'b'\); expected different names"),
        ("odd", "gave a int; expected an object that follows the Predictor protocol"),
        ("nothing", "cannot be imported"),
    ],
)
def test_a_function_that_is_none_is_one_line(own, name, message):
    with pytest.raises(SegmenterError, match=message) as caught:
        load_predictor(f"own_predictors:{name}")
    assert "\n" not in str(caught.value)


def test_a_predictor_of_the_wrong_length_is_one_line(own):
    with pytest.raises(SegmenterError, match="gave 2 values for an image; expected 3: a, b, c"):
        load_predictor("own_predictors:two").predict(IMAGES)


def test_areas_are_the_shares_of_the_image():
    segmenter = load_segmenter("colour")
    areas = load_predictor("areas:colour")
    assert isinstance(areas, Predictor)
    assert (areas.name, areas.attributes) == ("areas:colour", segmenter.vocabulary.names)
    # Half red, half black.
    images = torch.full((1, 3, 8, 8), -1.0)
    images[:, 0, :, :4] = 1.0
    found = dict(zip(areas.attributes, areas.predict(images)[0].tolist(), strict=True))
    assert found["red"] == found["black"] == 0.5
    assert sum(found.values()) == 1
    images.requires_grad_(True)
    values = areas.predict(images)
    assert torch.equal(values.detach(), areas.predict(images.detach()))
    (gradient,) = torch.autograd.grad(values[0, 0], images)
    (wanted,) = torch.autograd.grad(segmenter.score(images)[:, 0].mean(), images)
    torch.testing.assert_close(gradient, wanted)
    both = load_predictor("areas:scenes+colour")
    assert both.predict(IMAGES).shape == (3, len(both.attributes))
    with pytest.raises(SegmenterError, match="segmenter 'colours' is not known; did you mean"):
        load_predictor("areas:colours")


def program(path, shape, *, metadata=None, columns=3, values=("batch", 3)):
    """Means of the channels of images, times a matrix."""
    weight = np.arange(3 * columns, dtype=np.float32).reshape(3, columns)
    axes = [2, 3] if shape[1] == 3 else [1, 2]
    nodes = [
        node("ReduceMean", ["images"], "means", keepdims=0, axes=axes),
        node("MatMul", ["means", "weight"], "values"),
    ]
    if 3 not in (shape[1], shape[-1]):  # no images
        nodes, values = [node("Identity", ["images"], "values")], shape
    tensors = [tensor("weight", weight)]
    path.write_bytes(
        model(nodes, [value("images", shape)], [value("values", values)], tensors, metadata)
    )
    return weight


def test_an_onnx_file_is_a_predictor(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    weight = program(tmp_path / "mean.onnx", ("batch", 3, "h", "w"))
    found = load_predictor(str(tmp_path / "mean.onnx"))
    assert isinstance(found, Predictor)
    assert found.attributes == ("mean 0", "mean 1", "mean 2")
    expected = IMAGES.mean(dim=(2, 3)) @ torch.from_numpy(weight)
    torch.testing.assert_close(found.predict(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_an_onnx_file_says_how_it_reads_images(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    about = {
        "attributes": "one, two,three",
        "image_range": "0,255",
        "mean": "1,2,3",
        "std": "2,2,4",
    }
    # Channels last, a fixed size, one image at a time.
    weight = program(tmp_path / "p.onnx", (1, 8, 8, 3), metadata=about, values=(1, 3))
    found = load_predictor(str(tmp_path / "p.onnx"))
    assert found.attributes == ("one", "two", "three")
    # A constant image keeps its values at any size.
    images = torch.rand(3, 3, 1, 1).expand(-1, -1, 20, 20) * 2 - 1
    pixels = (images[:, :, 0, 0] + 1) * 127.5
    pixels = (pixels - torch.tensor([1.0, 2, 3])) / torch.tensor([2.0, 2, 4])
    torch.testing.assert_close(
        found.predict(images), pixels @ torch.from_numpy(weight), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize(
    ("shape", "metadata", "message"),
    [
        (("batch", 1, 8, 8), None, "expected one input of images"),
        ((3, 8), None, "expected one input of images"),
        (("batch", 3, 8, 8), {"image_range": "0,2"}, "has the image_range '0,2' in its metadata"),
        (("batch", 3, 8, 8), {"std": "1,0,1"}, "has the std '1,0,1' in its metadata"),
        (("batch", 3, 8, 8), {"mean": "a"}, "has the mean 'a' in its metadata"),
        (("batch", 3, 8, 8), {"attributes": "a,b"}, "gives 3 values and lists 2 attributes"),
    ],
)
def test_a_program_that_does_not_fit_is_one_line(tmp_path, shape, metadata, message):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    program(tmp_path / "p.onnx", shape, metadata=metadata)
    with pytest.raises(SegmenterError, match=message) as caught:
        load_predictor(str(tmp_path / "p.onnx"))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_program_is_one_line(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    with pytest.raises(SegmenterError, match=r"none.onnx cannot be read"):
        load_predictor(str(tmp_path / "none.onnx"))
    (tmp_path / "p.onnx").write_bytes(field(1, 9))
    with pytest.raises(SegmenterError, match="is damaged") as caught:
        load_predictor(str(tmp_path / "p.onnx"))
    assert "\n" not in str(caught.value)


def test_a_table_gives_the_scores_of_samples_in_any_order(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("\ufeffsample, smile ,age\r\n7,0.5,1e1\r\n\r\n2,-1,30\r\n", newline="")
    table = load_scores(path)
    assert table.attributes == ("smile", "age")
    assert table.samples == (2, 7)
    assert table.scores([7, 2, 7]).tolist() == [[0.5, 10], [-1, 30], [0.5, 10]]
    with pytest.raises(SegmenterError, match=r"has no scores of sample 3; .* from 2 to 7"):
        table.scores([2, 3])
    with pytest.raises(SegmenterError, match="scores are for fitting directions alone"):
        load_predictor(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with ''; expected a first column 'sample'"),
        ("index,smile\n0,1\n", "begins with 'index, smile'"),
        ("sample\n0\n", "begins with 'sample'"),
        ("sample,a,a\n0,1,1\n", "none twice"),
        ("sample,a\n", "has no samples"),
        ("sample,a\n0,1\n0,2\n", "line 3 of .* has sample 0 again"),
        ("sample,a\n0,high\n", "line 2 of .* has '0,high'"),
        ("sample,a\n0,nan\n", "finite numbers"),
        ("sample,a\n0\n", "expected 2 cells"),
        ("sample,a\n-1,1\n", "'-1,1'"),
        ("sample,a\n0.5,1\n", "'0.5,1'"),
        ('sample,a\n0,"1\n', "is damaged"),
        ("sample,a\x1b[2J\n0,1\n", "control characters"),
    ],
)
def test_a_table_that_is_none_is_one_line(tmp_path, text, message):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(SegmenterError, match=message) as caught:
        load_scores(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SegmenterError, match="cannot be read"):
        load_scores(tmp_path / "none.csv")


def test_predictors_keep_their_laws(own, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    for spec in ("scenes", "areas:colour", "own_predictors:rgb"):
        assert len(check_predictor(load_predictor(spec))) == 6
    program(tmp_path / "mean.onnx", ("batch", 3, "h", "w"))
    assert len(check_predictor(load_predictor(str(tmp_path / "mean.onnx")), gradients=False)) == 5
    torch.manual_seed(0)
    check_predictor(FacesAttributes(build_networks()))


class Whole:
    """The mean of all channels, and ways to get it wrong."""

    name, attributes, fingerprint, device = "whole", ("mean",), "0" * 64, torch.device("cpu")

    def predict(self, images):
        if images.ndim != 4 or images.shape[1] != 3:
            raise SegmenterError("these are no images")
        return images.mean(dim=(1, 2, 3))[:, None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"attributes": ("a", "a")}, "lists"),
        ({"attributes": ("a", "b")}, "gives values of shape"),
        ({"predict": lambda self, x: Whole.predict(self, x) / 0}, "NaN or infinite"),
        ({"predict": lambda self, x: Whole.predict(self, x) - x.mean()}, "in another batch"),
        ({"predict": lambda self, x: Whole.predict(self, x.detach())}, "cuts gradients off"),
        ({"predict": lambda self, x: x.mean(dim=(1, 2, 3))[:, None]}, "takes a grey image|IndexError"),
        ({"predict": lambda self, x: x[:, [0, 1, 2]].mean(dim=(1, 2, 3))[:, None]}, "raises IndexError"),
    ],
)  # fmt: skip
def test_a_predictor_that_breaks_a_law_is_told_which(change, message):
    predictor = type("Spoilt", (Whole,), change)()
    if message is None:
        assert len(check_predictor(predictor)) == 6
        return
    with pytest.raises(SegmenterError, match=message):
        check_predictor(predictor)


def test_a_predictor_that_is_not_there_is_told_in_one_line():
    with pytest.raises(SegmenterError, match="did you mean 'faces-attributes'") as caught:
        load_predictor("face-attributes")
    assert "areas:SEGMENTER" in str(caught.value)
    assert "\n" not in str(caught.value)
