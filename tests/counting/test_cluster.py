"""A run on a cluster: the same bytes, whatever machine dies on the way."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from dissect import ConfigError, RunError, dissect
from dissect.workers.cluster import divide
from tests import patience
from tests.counting.fake_ray import fake_ray
from tests.counting.sharing_models import WAITS

ROOT = Path(__file__).resolve().parents[2]
PLANTED = "dissect.worlds.planted:generator"
N_SAMPLES = 200
needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="needs Ray: pip install 'gan-dissection[cluster]'"
)


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def make(out, **settings):
    given = {"n_samples": N_SAMPLES, "progress": False} | settings
    return dissect(PLANTED, "colour", out=out, **given)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Puts a cluster of three machines in the place of Ray; ``dies`` says at which order."""
    threads, temporary = torch.get_num_threads(), tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def start(**settings):
        ray = fake_ray(machines=3 * [{"CPU": 1.0}], **settings)
        monkeypatch.setitem(sys.modules, "ray", ray)
        return ray

    yield start
    torch.set_num_threads(threads)


def test_a_cluster_makes_the_bytes_of_one_process_and_leaves_nothing(
    planted_run, cluster, tmp_path
):
    ray = cluster()
    run = make(tmp_path / "r", cluster="auto")
    assert len(ray.started) == 3
    assert files(run.path) == files(planted_run.path)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "temporary"]


@pytest.mark.parametrize("last", ["pilot", "edges", "count", "finish"])
def test_an_actor_that_dies_is_replaced_and_its_blocks_are_counted_again(
    planted_run, cluster, tmp_path, capfd, last
):
    died = []

    def dies(order):
        if order["do" if "do" in order else "generator"] == last and len(died) < 2:
            died.append(order)
            return len(died) == 2  # not the first such order, of which something was saved
        return False

    ray = cluster(dies=dies)
    run = make(tmp_path / "r", cluster="auto", save_every=0)
    assert len(died) == 2
    assert len(ray.started) == 4
    assert files(run.path) == files(planted_run.path)


def test_other_versions_on_a_machine_are_refused_in_one_line(cluster, tmp_path, monkeypatch):
    cluster()
    monkeypatch.setattr(
        "dissect.counting.crews.package_versions", lambda: {"gan-dissection": "9", "torch": "1"}
    )
    with pytest.raises(RunError, match=r"a worker on .* has gan-dissection .*; expected 9, .*all"):
        make(tmp_path / "r", cluster="auto")
    assert not (tmp_path / "r").exists()
    assert not (tmp_path / "r.partial").exists()


def test_a_missing_ray_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"cluster needs Ray.* pip install .*\[cluster\]") as told:
        make(tmp_path / "r", cluster="local")
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


@needs_ray
@pytest.mark.parametrize("shape", ["{}:{}", "ray://{}:{}"])
def test_an_address_where_nobody_answers_is_told_in_one_line(tmp_path, shape):
    with socket.socket() as bound:  # it does not listen
        bound.bind(("127.0.0.1", 0))
        address = shape.format(*bound.getsockname())
        with pytest.raises(ConfigError, match=r"no Ray cluster answers \(.*refused.*\)") as told:
            make(tmp_path / "r", cluster=address)
    assert address in str(told.value)
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_models_that_are_objects_are_refused(planted, tmp_path):
    with pytest.raises(ConfigError, match=r"cluster is 'auto' .* by name"):
        dissect(planted, "colour", out=tmp_path / "r", cluster="auto")


@pytest.mark.parametrize(
    ("cores", "wanted", "n_workers", "n_threads", "reserved"),
    [
        ([4, 4], "auto", 8, 1, 1),
        ([4, 4], 2, 2, 4, 4),
        ([8, 2], 3, 3, 2, 2),  # three times 2 on the first; 3 threads would leave the second out
        ([1, 1, 1], 4, 4, 1, 0.5),
        ([64, 64], "auto", 40, 3, 3),  # as many as there are blocks
    ],
)
def test_cores_of_a_cluster_are_divided(cores, wanted, n_workers, n_threads, reserved):
    machines = [{"CPU": float(n)} for n in cores]
    places = divide(machines, wanted=wanted, most=40, gpus=False)
    assert (places.n_workers, places.n_threads, places.cores) == (n_workers, n_threads, reserved)
    assert places.gpus == 0
    held = sum(int(n / places.cores) for n in cores)
    assert held >= n_workers


@pytest.mark.parametrize(
    ("wanted", "n_workers", "share"), [("auto", 8, 1), (8, 8, 1), (16, 16, 0.5), (9, 9, 0.5)]
)
def test_gpus_of_a_cluster_are_divided(wanted, n_workers, share):
    machines = 2 * [{"CPU": 32.0, "GPU": 4.0}]
    places = divide(machines, wanted=wanted, most=100, gpus=True)
    assert (places.n_workers, places.gpus) == (n_workers, share)


_CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""


@needs_ray
@pytest.mark.slow
def test_a_cluster_of_three_machines_one_of_which_dies_makes_the_same_bytes(tmp_path):
    out, told = tmp_path / "r", tmp_path / "told"
    told.mkdir()
    mark = told / "mark"
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "TEST_MARK": str(mark)}
    machines = subprocess.Popen(
        [sys.executable, "-c", _CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    try:
        address = machines.stdout.readline().strip()
        command = [
            *(sys.executable, "-m", "dissect", "run", WAITS, "--segmenter", "colour", "--quiet"),
            *("--samples", "640", "--out", str(out), "--cluster", address),
            *("--save-every", "0"),
        ]
        run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        deadline = time.monotonic() + patience.PROCESS
        while len(list(told.glob("waits-*"))) < 3:
            assert run.poll() is None, run.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        machines.stdin.write("remove one\n")
        machines.stdin.flush()
        assert machines.stdout.readline() == "removed\n"
        mark.touch()
        _, said = run.communicate(timeout=patience.PROCESS)
    finally:
        machines.stdin.close()
        machines.wait(timeout=patience.PROCESS)
        machines.stdout.close()
    assert run.returncode == 0, said
    assert "another one takes its place" in said
    whole = make(tmp_path / "whole", n_samples=640)
    assert files(out) == files(whole.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "told", "whole"]
