"""Every public name says what it takes and raises, shows its use, and has its source on the site."""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

from tests.documents import ROOT, blocks

PACKAGES = [
    "dissect", "dissect.bases", "dissect.directions", "dissect.edits", "dissect.inversion",
    "dissect.studies", "dissect.worlds", "segmenters", "reports", "dashboard",
]  # fmt: skip
# Pages whose Python is run by the tests (tests/test_documents_run.py, tests/test_notebooks.py).
RUN_PAGES = [ROOT / "README.md", *(ROOT / "docs" / "tutorials").glob("*.md")]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
# Names without an example, by what one would take.
WITHOUT = {
    "dashboard.Settings": "a server",
    "dashboard.create_app": "a server",
    "dashboard.serve": "a server",
    "dissect.RunConfig": "dissect.dissect takes the same",
    "dissect.bases.read_file_contents": "files of sparse autoencoders",
    "dissect.bases.rebuild_basis": "tensors of a stored basis",
    "dissect.edits.Edit": "abstract",
    "dissect.edits.UnitEdit": "abstract",
    "dissect.inversion.Inversion": "minutes of a search",
    "dissect.inversion.invert": "minutes of a search",
    "dissect.inversion.tune": "minutes of a search",
    "dissect.studies.Result": "abstract",
    "dissect.studies.StoredEffect": "an effect that was measured",
    "dissect.studies.Study": "abstract",
    "dissect.studies.open_effect": "an effect that was measured",
}


MAKERS = {"__init__", "__post_init__"}
# Annotations without a shape.
BARE = re.compile(r"(torch\.)?Tensor( \| None)?|(np\.)?ndarray( \| None)?")


def public_names():
    """Name → what it names; what two packages name stands once."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            one = getattr(module, name)
            if callable(one) and one not in found.values():
                found[f"{package}.{name}"] = one
    return found


NAMES = public_names()


def is_protocol(one):
    return getattr(one, "_is_protocol", False)


def is_error(one):
    return inspect.isclass(one) and issubclass(one, Exception)


def run_code():
    """The Python of pages and of docstrings that are run."""
    pages = [path.relative_to(ROOT).as_posix() for path in RUN_PAGES]
    code = [one.text for page in pages for one in blocks(page) if one.language == "python"]
    code += re.findall(r">>> (.*)", "\n".join(inspect.getdoc(one) or "" for one in NAMES.values()))
    return "\n".join([*code, *(path.read_text() for path in NOTEBOOKS)])


def parsed(one):
    """The source code of a name, as it stands behind its decorators."""
    return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(one)))).body[0]


def functions(one):
    """The functions behind a name that people call: itself, or a class's own members."""
    tree = parsed(one)
    if not isinstance(tree, ast.ClassDef):
        return [tree]
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [node for node in found if not node.name.startswith("_") or node.name in MAKERS]


def own_raises(one):
    """Whether its own code raises: a function's, or what a class does when it is made."""
    made = [node for node in functions(one) if not inspect.isclass(one) or node.name in MAKERS]
    return any(isinstance(node, ast.Raise) for part in made for node in ast.walk(part))


def test_every_name_has_an_example_that_is_run():
    code = run_code()
    without = {
        name
        for name, one in NAMES.items()
        if not (is_error(one) or is_protocol(one))
        and ">>>" not in (inspect.getdoc(one) or "")
        and not re.search(rf"\b{one.__name__}\(", code)
    }
    assert without == set(WITHOUT)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_what_it_is_and_where_it_stands(name):
    one = NAMES[name]
    doc = inspect.getdoc(one)
    assert doc is not None
    assert doc.split("\n\n")[0].rstrip().endswith((".", ":"))
    assert ROOT in Path(inspect.getsourcefile(inspect.unwrap(one))).parents
    if own_raises(one):
        assert "Raises:" in doc


@pytest.mark.parametrize("name", NAMES)
def test_tensors_and_arrays_have_their_shapes(name):
    bare = {
        f"{function.name}: {parameter}"
        for function in functions(NAMES[name])
        for parameter, annotation in annotations(function).items()
        if BARE.fullmatch(annotation)
    }
    assert bare == set()


def annotations(function):
    """Parameter or "return" → its annotation as it stands in the source code."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    found = {one.arg: ast.unparse(one.annotation) for one in every if one and one.annotation}
    return found | ({"return": ast.unparse(function.returns)} if function.returns else {})
