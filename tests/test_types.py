"""What editors and type checkers know of the packages."""

import ast
import importlib
import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from dissect.generators.families import FAMILIES
from segmenters.catalogue import MODIFIERS, PREDICTORS, PREFIXES, SEGMENTERS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dissect", "segmenters", "reports", "dashboard")
LAZY = [
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("__init__.py")
    if "lazy_names(" in path.read_text()
]


@pytest.mark.parametrize("path", LAZY, ids=lambda path: path.parent.relative_to(ROOT).as_posix())
def test_type_checkers_know_the_lazy_names_and_their_homes(path):
    (block,) = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.If)]
    known = {name.asname: (node.module, name.name) for node in block.body for name in node.names}
    (homes,) = [node for node in ast.walk(block) if isinstance(node, ast.Dict)]
    package = path.parent.relative_to(ROOT).as_posix().replace("/", ".")
    assert known == {name: (home, name) for name, home in ast.literal_eval(homes).items()}
    module = importlib.import_module(package)
    assert sorted(known) == sorted(module.__all__)
    for name in known:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_that_they_are_typed(package):
    assert (ROOT / package / "py.typed").is_file()


def test_no_family_and_no_segmenter_is_left_out_of_what_is_held_against_the_protocols():
    tree = ast.parse((ROOT / "tests" / "protocols.py").read_text())
    listed = {
        name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names
    }
    makers = [family.from_checkpoint for family in FAMILIES.values()]
    for home, function in (
        *((name, "load") for name in SEGMENTERS),
        *((name, "modify") for name in MODIFIERS),
        *((module, "load") for module, _ in PREFIXES.values()),
        *((module, "load_predictor") for module, _ in PREDICTORS.values()),
    ):
        makers.append(getattr(importlib.import_module(f"segmenters.{home}"), function))
    made = {typing.get_type_hints(maker)["return"].__name__ for maker in makers}
    assert made <= listed


SCRIPT = """
from collections.abc import Mapping, Sequence

import dissect
import torch
from dissect import Ablate, Run, intervene, load_generator
from dissect.generators.base import Generator
from dissect.generators.shapes import LayerInfo, Space
from dissect.latents import Latent
from torch import Tensor, nn

run: Run = dissect.dissect("faces-dcgan", "faces", out="runs/faces", n_samples=100)
table = run.units("main.7")
generator = load_generator("faces-dcgan")
latent = generator.sample([0, 1], seed=0)
with intervene(generator, [Ablate("main.7", [3])]):
    images = generator.synthesize(latent)


class Own:
    name, family, fingerprint, not_editable = "own", "own", "0", None
    image_size, channels, n_classes = 8, 3, 0
    device, module = torch.device("cpu"), nn.Identity()
    spaces = {"z": Space("z", (4,))}
    layers: Mapping[str, LayerInfo] = {}

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        return Latent("z", torch.zeros(len(indices), 4))

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        return latent

    def synthesize(self, latent: Latent, *, noise: str = "const") -> Tensor:
        return torch.zeros(len(latent), 3, 8, 8)


own: Generator = Own()
"""
MISTAKES = {
    "a name of the package": ("dissect.dissect(", "dissect.disect("),
    "a method of a run": ("run.units(", "run.unit("),
    "a setting": ("n_samples=100", "n_sampels=100"),
    "a setting's type": ("n_samples=100", "n_samples='many'"),
    "a method of a generator": ("generator.synthesize(", "generator.synthesise("),
    "a keyword of a method": ("seed=0", "sed=0"),
    "an import": ("Ablate, Run", "Ablates, Run"),
    "a method of a generator of one's own": ("def sample(", "def samples("),
    "a parameter of it": ("label: int | None = None) -> Latent", "label: str = '') -> Latent"),
    "the type of its layers": ("Mapping[str, LayerInfo] = {}", "Mapping[str, int] = {}"),
    "what it gives": (
        "-> Latent:\n        return latent\n",
        "-> Tensor:\n        return latent.data\n",
    ),
}


@pytest.mark.slow
def test_a_script_that_misspells_something_is_flagged(tmp_path):
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    (tmp_path / "right.py").write_text(SCRIPT)
    for i, (right, wrong) in enumerate(MISTAKES.values()):
        assert SCRIPT.count(right) == 1
        (tmp_path / f"wrong_{i}.py").write_text(SCRIPT.replace(right, wrong))
    checker = Path(sys.executable).with_name("basedpyright")
    done = subprocess.run(
        [checker, "--project", tmp_path, "--pythonpath", sys.executable, "--outputjson"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    found = {Path(error["file"]).name for error in json.loads(done.stdout)["generalDiagnostics"]}
    assert found == {f"wrong_{i}.py" for i in range(len(MISTAKES))}
