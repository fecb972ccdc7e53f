"""What editors and type checkers know of the packages."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

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


SCRIPT = """
import dissect
from dissect import Ablate, Run, intervene, load_generator

run: Run = dissect.dissect("faces-dcgan", "faces", out="runs/faces", n_samples=100)
table = run.units("main.7")
generator = load_generator("faces-dcgan")
latent = generator.sample([0, 1], seed=0)
with intervene(generator, [Ablate("main.7", [3])]):
    images = generator.synthesize(latent)
"""
MISTAKES = {
    "a name of the package": ("dissect.dissect(", "dissect.disect("),
    "a method of a run": ("run.units(", "run.unit("),
    "a setting": ("n_samples=100", "n_sampels=100"),
    "a setting's type": ("n_samples=100", "n_samples='many'"),
    "a method of a generator": ("generator.synthesize(", "generator.synthesise("),
    "a keyword of a method": ("seed=0", "sed=0"),
    "an import": ("Ablate, Run", "Ablates, Run"),
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
