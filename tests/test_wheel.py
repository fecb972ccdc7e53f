"""The package as people get it: a wheel, far from the repository, without a network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import patience

REPOSITORY = Path(__file__).resolve().parents[1]
# Python runs it at its start; whatever reaches for the network from then on fails.
NO_NETWORK = """
import socket

def refuse(*arguments, **settings):
    raise OSError("there is no network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds what the wheel holds, and nothing of the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    # Built from a copy: a build leaves a folder behind, from which later wheels would take files
    # that are no more.
    source = folder / "source"
    source.mkdir()
    for name in ("dissect", "segmenters", "reports", "dashboard"):
        shutil.copytree(REPOSITORY / name, source / name)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", source, "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    (folder / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    return folder / "site"


def run(installed, *arguments, cwd):
    environment = os.environ | {"PYTHONPATH": str(installed), "DISSECT_CACHE": str(cwd / "cache")}
    environment["PIP_RETRIES"] = "0"
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=patience.PROCESS,
        check=False,
    )


def test_the_demo_runs_from_the_wheel_without_a_network(installed, tmp_path):
    where = run(installed, "-c", "import dissect; print(dissect.__file__)", cwd=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(installed)
    online = run(
        installed, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))", cwd=tmp_path
    )
    assert "there is no network" in online.stderr
    demo = (installed, "-m", "dissect", "demo", "--samples", 64, "--out", "R")
    done = run(*demo, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "open R/report/index.html" in lines
    assert sum(line.strip().startswith("dissect ") for line in lines) == 2
    made = (tmp_path / "R" / "run.json").read_bytes()
    again = run(*demo, "--json", cwd=tmp_path)  # nothing is counted twice
    found = json.loads(again.stdout)
    assert (found["generator"], found["segmenter"]) == ("scenes-stylegan2", "scenes")
    assert found["samples"] == 64
    assert (tmp_path / found["report"]).is_file()
    assert (tmp_path / "R" / "run.json").read_bytes() == made


def test_faces_without_a_network_are_told_in_one_line(installed, tmp_path):
    done = run(installed, "-m", "dissect", "demo", "--faces", cwd=tmp_path)
    assert done.returncode == 2
    assert "pip could not fetch" in done.stderr
    assert not (tmp_path / "runs").exists()
