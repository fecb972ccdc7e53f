"""The oldest versions that pyproject.toml promises are those that are tried."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import Specifier

ROOT = Path(__file__).resolve().parents[1]


def read_floors(lines):
    """Name → lowest version, of requirements with one bound."""
    floors = {}
    for line in lines:
        requirement = Requirement(line)
        (bound,) = requirement.specifier
        floors[requirement.name] = (bound.operator, bound.version)
    return floors


def test_the_floors_are_the_versions_that_are_tried():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "oldest.txt").read_text()
    tried = read_floors(line for line in text.splitlines() if not line.startswith("#"))
    assert {operator for operator, _ in tried.values()} == {"=="}
    promised = read_floors(project["dependencies"])
    assert {operator for operator, _ in promised.values()} == {">="}
    of_extras = read_floors(project["optional-dependencies"]["figures"])
    assert {name: version for name, (_, version) in tried.items()} == {
        name: version for name, (_, version) in (promised | of_extras).items()
    }


def test_an_extra_that_is_tried_asks_for_no_newer_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tools = project["optional-dependencies"]["test-oldest"]
    constraints = [Requirement(one) for one in (ROOT / "oldest.txt").read_text().splitlines()[2:]]
    for constraint in constraints:
        (pin,) = constraint.specifier
        for tool in map(Requirement, tools):
            if tool.name == constraint.name:
                assert tool.specifier.contains(pin.version), tool


def test_the_classifiers_name_versions_of_python_that_are_promised():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = Specifier(project["requires-python"])
    named = [one.rsplit(" ", 1)[1] for one in project["classifiers"] if ":: Python :: 3." in one]
    assert named
    assert all(lowest.contains(version) for version in named)
