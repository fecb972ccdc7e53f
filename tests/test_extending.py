"""What docs/architecture.md says that an addition takes: a family, a segmenter, a command.

Statistics, studies and pages are tried beside their own tests.
"""

import sys
from types import MappingProxyType, ModuleType

import pytest
import torch
from safetensors.torch import save_file

import dissect
from dissect import cli
from dissect.commands import COMMANDS, Command
from dissect.errors import CheckpointError
from dissect.generators import families
from dissect.generators.shapes import LayerInfo
from dissect.generators.z_only import ZOnlyGenerator
from dissect.testing import check_generator
from segmenters import load_predictor, load_segmenter, registry
from segmenters.base import hash_tensors
from segmenters.colour import ColourSegmenter
from segmenters.testing import check_segmenter


class Stripes(ZOnlyGenerator):
    """The module that a family is: which files are its own, and the generator of one."""

    def __init__(self, network, *, name):
        super().__init__(network, name=name, z_shape=(4,), fingerprint=hash_tensors({}, "stripes"))
        self.image_size, self.channels = 8, 3
        self.layers = {"paint": LayerInfo(6, 8, 8, "paint")}


class StripesNetwork(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        self.paint = torch.nn.Identity()

    def forward(self, z):
        maps = torch.tanh(z @ self.weight)[:, :, None, None].expand(-1, -1, 8, 8)
        maps = self.paint(maps * torch.linspace(0.2, 1, 8))
        return maps[:, :3] * maps[:, 3:]


@pytest.fixture
def family(monkeypatch):
    module = ModuleType("stripes")
    module.matches = lambda part: "stripes.weight" in part.tensors
    module.from_checkpoint = lambda part, name, device: Stripes(
        StripesNetwork(part.tensors["stripes.weight"]).eval().to(device), name=name
    )
    monkeypatch.setattr(families, "FAMILIES", {**families.FAMILIES, "stripes": module})


def test_a_family_is_a_module_and_a_line_in_the_list_of_families(family, tmp_path):
    path = tmp_path / "stripes.safetensors"
    save_file({"stripes.weight": torch.arange(24.0).reshape(4, 6) / 12 - 1}, path)
    generator = dissect.load_generator(str(path))
    assert (generator.family, list(generator.layers)) == ("stripes", ["paint"])
    check_generator(generator)


def test_without_that_line_the_file_is_of_no_family(tmp_path):
    path = tmp_path / "stripes.safetensors"
    save_file({"stripes.weight": torch.ones(4, 6)}, path)
    with pytest.raises(CheckpointError, match="of no family known here"):
        dissect.load_generator(str(path))


def test_a_segmenter_is_a_module_and_a_line_in_the_catalogue(monkeypatch):
    class Dark(ColourSegmenter):
        def __init__(self, device):
            super().__init__(device)
            self.name = "dark"

    module = ModuleType("segmenters.dark")
    module.load = lambda device: Dark(device=device)
    monkeypatch.setitem(sys.modules, "segmenters.dark", module)
    known = MappingProxyType({**registry.SEGMENTERS, "dark": "colours, by another name"})
    monkeypatch.setattr(registry, "SEGMENTERS", known)
    segmenter = load_segmenter("dark")
    assert segmenter.name == "dark"
    check_segmenter(segmenter, torch.rand(2, 3, 16, 16) * 2 - 1)


def test_a_predictor_is_a_module_and_a_line_in_the_catalogue(monkeypatch):
    class Bright:
        name, attributes, fingerprint = "bright", ("bright",), "0" * 64

        def __init__(self, device):
            self.device = torch.device(device)

        def predict(self, images):
            return images.mean(dim=(2, 3)).mean(dim=1, keepdim=True)

    module = ModuleType("segmenters.bright")
    module.load_predictor = Bright
    monkeypatch.setitem(sys.modules, "segmenters.bright", module)
    known = MappingProxyType({**registry.PREDICTORS, "bright": ("bright", "how bright it is")})
    monkeypatch.setattr(registry, "PREDICTORS", known)
    assert load_predictor("bright").predict(torch.ones(2, 3, 8, 8)).tolist() == [[1], [1]]


def test_a_command_is_a_module_and_a_line_in_the_list_of_commands(monkeypatch, capsys):
    command = Command(
        "greet",
        "says a name",
        add_options=lambda parser: parser.add_argument("name"),
        run=lambda options: print(f"hello {options.name}"),
        json=False,
    )
    monkeypatch.setattr(cli, "COMMANDS", (*COMMANDS, command))
    assert cli.main(["greet", "world"]) == 0
    assert capsys.readouterr().out == "hello world\n"
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "says a name" in capsys.readouterr().out
