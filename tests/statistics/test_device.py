"""Counting on an accelerator: Triton's kernel in its interpreter, and plain operations of torch."""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect import dissect
from dissect.statistics import device as counting
from dissect.statistics.device import tally_there, tally_torch
from dissect.statistics.groups import GroupedCodes
from dissect.statistics.kernel import tally
from dissect.statistics.native import tally_native
from tests import elsewhere
from tests.statistics.test_counts import random_case, random_codes, reference_table, snapped


def triton_version():
    """Of the Triton at hand; (0, 0) without one."""
    try:
        major, minor = importlib.metadata.version("triton").split(".")[:2]
    except importlib.metadata.PackageNotFoundError:
        return 0, 0
    return int(major), int(minor)


needs_triton = pytest.mark.skipif(
    triton_version() < (3, 2),  # before, its interpreter warns, and it compiles for no absent GPU
    reason="there is no Triton for this system, or an older one than 3.2",
)


def tally_triton(maps, codes, edges, *, n_codes, nearest=False):
    from dissect.statistics.triton_kernel import tally_triton as count

    return count(maps, GroupedCodes.of(codes, n_codes=n_codes), edges, nearest=nearest)


WAYS = [
    pytest.param(tally_triton, marks=needs_triton, id="triton"),
    pytest.param(tally_torch, id="torch"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 5), (33, 17)])
@pytest.mark.parametrize("grid", [(9, 8), (1, 1), (31, 13)])
def test_every_size_is_counted_as_the_reference_counts_it(way, size, grid):
    maps, _, edges, _ = random_case(1, size=size, units=3, images=2)  # values that hit edges
    codes = random_codes(1, sets=2, images=2, grid=grid, n_codes=4, run=3)
    found = way(maps, codes, edges, n_codes=4)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, reference_table(maps, codes, edges, 4))


@needs_triton
@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    grid=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    units=st.integers(1, 5),
    edges=st.integers(0, 70),
    sets=st.integers(1, 3),
)
@settings(max_examples=6)
def test_the_kernel_of_triton_counts_any_shape_as_plain_operations_do(
    seed, size, grid, units, edges, sets
):
    maps, _, chosen, _ = random_case(seed, size=size, units=units, images=3, edges=edges)
    codes = random_codes(seed, sets=sets, images=3, grid=grid)
    found = tally_triton(maps, codes, chosen, n_codes=6)
    np.testing.assert_array_equal(found, tally_torch(maps, codes, chosen, n_codes=6))


@pytest.mark.parametrize("way", WAYS)
def test_1200_concepts_are_counted_as_the_processor_counts_them(way):
    draw = torch.Generator().manual_seed(3)
    maps = torch.randn(2, 2, 5, 6, generator=draw)
    edges = snapped(torch.randn(2, 48, generator=draw).sort(dim=1).values)
    codes = random_codes(3, sets=3, images=2, grid=(9, 8), n_codes=1200, run=4)
    expected = tally(maps, GroupedCodes.of(codes, n_codes=1200), edges)
    np.testing.assert_array_equal(way(maps, codes, edges, n_codes=1200), expected)


@needs_triton
def test_segments_of_a_few_pixels_add_up_to_the_same(monkeypatch):
    maps, _, edges, _ = random_case(4, images=2)
    codes = random_codes(4, sets=2, images=2, n_codes=2)
    expected = tally_triton(maps, codes, edges, n_codes=2)
    monkeypatch.setattr("dissect.statistics.triton_kernel._SEGMENT", 7)
    np.testing.assert_array_equal(tally_triton(maps, codes, edges, n_codes=2), expected)
    assert expected.sum() == 2 * 5 * 2 * 9 * 8  # sets, units, images and pixels


@pytest.mark.parametrize("way", WAYS)
def test_maps_at_the_layers_own_resolution_are_counted_as_the_processor_counts_them(way):
    maps, _, edges, _ = random_case(5, images=2, size=(3, 11))
    codes = random_codes(5, sets=2, images=2)
    expected = tally_native(maps, GroupedCodes.of(codes, n_codes=6), edges)
    found = way(maps, codes, edges, n_codes=6, nearest=True)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_maps_of_any_precision_and_memory_order_are_counted_alike(way, dtype):
    maps, _, edges, _ = random_case(6, images=2)
    maps = maps.to(dtype)
    codes = random_codes(6, images=2)
    expected = reference_table(maps.float(), codes, edges, 6)
    ordered = maps.contiguous(memory_format=torch.channels_last)
    for given_maps in (maps, ordered, ordered[:, :, 1:-1, 1:]):
        whole = given_maps.shape == maps.shape
        wanted = expected if whole else reference_table(given_maps.float(), codes, edges, 6)
        np.testing.assert_array_equal(way(given_maps, codes, edges, n_codes=6), wanted)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, in the interpreter
@pytest.mark.parametrize("way", WAYS)
def test_values_that_are_not_finite_are_counted_as_the_reference_counts_them(way):
    maps = torch.randn(1, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    maps[0, :, 1, 1] = torch.tensor([float("nan"), float("inf"), float("-inf")])
    codes = torch.zeros(1, 1, 6, 6, dtype=torch.int32)
    edges = torch.tensor([[-1.0, 1.0]]).repeat(3, 1)
    expected = reference_table(maps, codes, edges, 1)
    np.testing.assert_array_equal(way(maps, codes, edges, n_codes=1), expected)


def agreeing(monkeypatch, found):
    """Pretend that Triton's kernel gives ``found``, or raises it, and ask whether it is used."""

    def pretended(maps, grouped, edges, **_others):
        if isinstance(found, Exception):
            raise found
        codes = torch.from_numpy(grouped.codes)
        return tally_torch(maps, codes, edges, n_codes=grouped.n_codes) + found

    module = types.SimpleNamespace(tally_triton=pretended)
    monkeypatch.setitem(sys.modules, "dissect.statistics.triton_kernel", module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    return counting._kernel_agrees.__wrapped__(torch.device("cpu"))


def test_a_kernel_that_agrees_with_plain_operations_is_used(monkeypatch):
    assert agreeing(monkeypatch, 0)


@pytest.mark.parametrize(
    ("found", "message"),
    [(1, "rounds differently"), (RuntimeError("no C compiler"), "no C compiler")],
)
def test_a_kernel_that_fails_or_counts_otherwise_is_left_aside_with_a_warning(
    monkeypatch, found, message
):
    with pytest.warns(UserWarning, match=message):
        assert not agreeing(monkeypatch, found)


@pytest.fixture(scope="module")
def another_device():
    registered = elsewhere.register()
    if registered is None:
        pytest.skip("this torch cannot be given a device")
    return registered


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"  # which tells how long it took
    }


def test_plain_operations_count_on_another_device(another_device):
    maps, _, edges, _ = random_case(7, images=2)
    codes = random_codes(7, sets=2, images=2)
    found = tally_there(maps.to(elsewhere.NAME), GroupedCodes.of(codes, n_codes=6), edges)
    np.testing.assert_array_equal(found, reference_table(maps, codes, edges, 6))


@pytest.mark.parametrize("more", [{}, {"compat": "gandissect"}, {"coactivation": True}])
def test_a_run_on_another_device_has_the_same_bytes_and_its_maps_stay_there(
    another_device, checkpoints, tmp_path, more
):
    given_settings = {"layers": ("main.7",), "n_samples": 48, "pilot": 16, "progress": False}
    path = checkpoints / "dcgan_small64.pth"

    def run(name, device):
        dissect(path, "colour", out=tmp_path / name, device=device, **given_settings, **more)
        return digests(tmp_path / name)

    expected = run("here", "cpu")
    elsewhere.LEFT.clear()
    assert run("there", elsewhere.NAME) == expected
    assert elsewhere.LEFT
    block = (24, 16, 16)  # units, height and width of a sample's maps
    if not more.get("coactivation"):  # whose means are those of numpy
        assert not [left for left in elsewhere.LEFT if left.shape[1:] == block]


COMPILE = """
import json
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from dissect.statistics.triton_kernel import _count_segment

floats = {"maps", "row_weight", "column_weight", "edges"}
whole = {"pixels", "bounds", "codes", "row_low", "row_high", "column_low", "column_high", "above"}
fixed = {"N_SETS": 3, "PIXELS": 64, "EDGES": 64}
signature = {
    name: "constexpr" if name in fixed
    else "*fp32" if name in floats
    else "*i32" if name in whole
    else "i32"
    for name in _count_segment.arg_names
}
source = ASTSource(_count_segment, signature, fixed)
for target in (GPUTarget("cuda", 80, 32), GPUTarget("hip", "gfx942", 64)):
    for fused in (False, True):
        found = triton.compile(source, target=target, options={"enable_fp_fusion": fused}).asm
        text = found["ptx"] if "ptx" in found else found["amdgcn"]
        print(json.dumps({
            "target": target.backend, "fused": fused, "binary": bool({"cubin", "hsaco"} & set(found)),
            "multiply_adds": sum(text.count(name) for name in ("fma.", "v_fma", "v_pk_fma")),
        }))
"""


@needs_triton
def test_the_kernel_compiles_for_gpus_and_fuses_no_product_with_a_sum(tmp_path):
    """Without a GPU: Triton has the compilers of both kinds with it."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        check=False, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 4
    assert all(row["binary"] for row in rows)
    # With fusing, which is what the kernel asks Triton to leave, there are some.
    assert [row["multiply_adds"] > 0 for row in rows] == [row["fused"] for row in rows]
