"""Fixtures that several tests share: real files where they are at hand, small finished runs."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import expect, sync_playwright

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch; see dissect/cli.py
os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton: its kernels run without a GPU
if "PYTEST_XDIST_WORKER" in os.environ:  # a worker for each core: none of them needs more
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from tests import patience, shape_checks

shape_checks.install()
# A busy machine is no fault of the code.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same examples", derandomize=True, **_PATIENT)
settings.register_profile("new examples", **_PATIENT)
settings.load_profile("same examples")

DATA = Path(__file__).resolve().parent / "data"
CHECKPOINTS = Path(__file__).resolve().parents[2] / "shared" / "checkpoints"


def pytest_configure(config):
    """In random order, and so in `make test-all`, hypothesis looks for new examples each time."""
    if config.pluginmanager.hasplugin("randomly"):
        settings.load_profile("new examples")


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory):
    """What the program keeps for the user is kept for this session of tests, and no other."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISSECT_STATE", str(folder))
        yield folder


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup():
    torch.manual_seed(0)  # no fixture and no test draws from where others left torch's generator


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    torch.manual_seed(0)


class _Checkpoints:
    """``checkpoints / name`` is the path of a file or folder; a test that needs another skips."""

    def __truediv__(self, name):
        for folder in (DATA, CHECKPOINTS):
            if (folder / name).exists():
                return folder / name
        return pytest.skip(f"{name} is neither in {DATA} nor in {CHECKPOINTS}")

    def at_hand(self, names):
        """Those of some names that are here."""
        return [n for n in names if (DATA / n).exists() or (CHECKPOINTS / n).exists()]


@pytest.fixture(scope="session")
def checkpoints():
    """Small files in real formats with the output that their own programs computed from them.

    ``tests/data`` holds most of them; ``../shared/checkpoints``, where it exists, all.
    """
    return _Checkpoints()


@pytest.fixture(scope="session")
def cases():
    """Files that people have and that went wrong once, with expected outputs."""
    folder = CHECKPOINTS.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    return folder


@pytest.fixture(scope="session")
def faces_dcgan():
    """The trained DCGAN, from the cache or fetched into it."""
    from dissect import GeneratorError, load_generator
    from dissect.generators import zoo

    try:
        zoo.get("faces-dcgan")
    except GeneratorError as error:
        pytest.skip(f"faces-dcgan is not to be had here: {error}")
    return load_generator("faces-dcgan")


@pytest.fixture(scope="module")
def one_thread():
    """Two threads that wait for each other on a busy machine take many times as long as one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def planted():
    """The toy generator."""
    from dissect.worlds.planted import generator

    return generator()


class _SharedFolders:
    """Folders that many tests read; the one that changes one of them is the one that fails."""

    def __init__(self):
        self._found = {}

    def add(self, folder):
        self._found[folder] = self._files(folder)

    def changed(self):
        return [
            str(folder) for folder, files in self._found.items() if self._files(folder) != files
        ]

    @staticmethod
    def _files(folder):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return [(path, path.stat().st_size, path.stat().st_mtime_ns) for path in files]


@pytest.fixture(scope="session")
def shared_folders():
    return _SharedFolders()


@pytest.fixture(autouse=True)
def shared_folders_stay(shared_folders):
    yield
    assert shared_folders.changed() == [], "this test needs a copy"


@pytest.fixture(scope="session")
def planted_run(tmp_path_factory, shared_folders):
    """A finished run over the planted world. Tests must not change it."""
    from dissect import dissect

    out = tmp_path_factory.mktemp("runs") / "planted"
    run = dissect(
        "dissect.worlds.planted:generator", "colour", out=out, n_samples=200, progress=False
    )
    shared_folders.add(out)
    return run


@pytest.fixture(scope="session")
def chromium():
    """One Chromium for the session; a process may hold one Playwright only."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine")
    expect.set_options(timeout=1000 * patience.PAGE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def command():
    """Run ``dissect``; returns what it printed and its exit status.

    In this process, where importing takes no time again, unless a folder or an environment is
    asked for.
    """

    def run(*arguments, cwd=None, **environment):
        arguments = [str(argument) for argument in arguments]
        if cwd is not None or environment:
            return subprocess.run(
                [sys.executable, "-m", "dissect", *arguments],
                capture_output=True,
                text=True,
                cwd=cwd,
                env=os.environ | environment,
                timeout=patience.PROCESS,
                check=False,
            )
        from dissect.cli import main

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(arguments)
            except SystemExit as stop:
                status = stop.code
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    return run
