"""Benchmarks are commands too: each starts, takes --json, and the quick ones print one object."""

import importlib
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_takes(name, monkeypatch, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as left:
        module.main()
    assert left.value.code == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("accumulate", ["--images", "2", "--units", "8", "--repetitions", "1"], "speedup"),
        ("render_scenes", ["--images", "64"], "images_per_s"),
        ("scale", [], "units"),
        (
            "dashboard",
            [
                "--layers",
                "2",
                "--units",
                "8",
                "--concepts",
                "4",
                "--rounds",
                "2",
                "--seconds",
                "0",
                "--no-browser",
                "--no-paint",
            ],
            "open_s",
        ),
    ],
)
def test_a_quick_one_prints_one_object(name, options, key, monkeypatch, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, *options, "--json"])
    module.main()
    assert json.loads(capsys.readouterr().out)[key] > 0


def test_a_page_that_fails_ends_the_dashboards_and_leaves_no_socket_open(monkeypatch):
    from benchmarks import dashboard

    made = []

    def listen(host, port, real=dashboard.listen):
        made.append(real(host, port))
        return made[0]

    small = ["--layers", "1", "--units", "4", "--concepts", "2", "--no-browser", "--no-paint"]
    monkeypatch.setattr(sys, "argv", ["dashboard", *small])
    monkeypatch.setattr(dashboard, "listen", listen)
    monkeypatch.setattr(dashboard, "whole", lambda data: False)
    with pytest.raises(SystemExit, match="no time is worth telling"):
        dashboard.main()
    assert [sock.fileno() for sock in made] == [-1]


def test_a_stroke_through_the_whole_app_is_timed(planted_run):
    from benchmarks.painting import measure_painting

    assert measure_painting(planted_run.path, rounds=1)["ratio"] > 0
