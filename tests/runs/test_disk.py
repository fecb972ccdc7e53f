import errno
import subprocess
import sys

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from dissect import RunError, dissect
from dissect.runs.packing import kept_rows, load_arrays, narrow, save_arrays
from dissect.runs.partial import Workspace

PLANTED = "dissect.worlds.planted:generator"


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_narrowing_keeps_every_number(numbers):
    counts = np.array(numbers, np.int64)
    narrowed = narrow(counts)
    assert narrowed.tolist() == numbers
    fits = all(-(2**31) <= n < 2**31 for n in numbers)
    assert narrowed.dtype == (np.int32 if fits else np.int64)


def test_saved_arrays_come_back_whole(tmp_path):
    histogram = np.zeros((3, 5, 4, 6), np.int64)
    histogram[:2, [0, 3], :, 1] = 7
    histogram[1, 3, 2, 5] = 2**40
    arrays = {
        "0.histogram": histogram,
        "1.histogram": histogram * 0,
        "0.edges": np.linspace(0, 1, 3, dtype=np.float32),
        "layers": np.array(["a", "b@c"]),
        "seconds": np.array(1.5),
    }
    save_arrays(tmp_path / "s.npz", arrays)
    found = load_arrays(tmp_path / "s.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert load_arrays(tmp_path / "s.npz", "1.").keys() == {"1.histogram"}
    assert kept_rows(histogram).tolist() == [0, 3]


def test_rows_of_concepts_that_never_occur_are_not_stored_but_known(planted_run):
    histogram = planted_run.array("units", "histogram")
    areas = planted_run.areas()
    assert list(areas.index) == list(planted_run.vocabulary.names)
    occurring = [name for name in areas.index if areas[name] > 0]
    assert histogram.coords["row"].values.tolist() == ["(all pixels)", *occurring]
    assert set(areas.index) > set(occurring)
    red = histogram.sel(set="evaluation", row="red")[0]
    assert red.sum() == areas["red"] * histogram.sel(set="evaluation", row="(all pixels)")[0].sum()


def test_the_histogram_is_one_compressed_file_of_int32(planted_run):
    stored = zarr.open_group(planted_run.path / "arrays.zarr", mode="r")["units"]["histogram"]
    assert stored.dtype == np.int32
    files = [
        p
        for p in (planted_run.path / "arrays.zarr" / "units" / "histogram").rglob("*")
        if p.is_file()
    ]
    assert sorted(p.name for p in files) == ["0", "zarr.json"]
    assert sum(p.stat().st_size for p in files) < stored.nbytes


def test_counts_beyond_int32_are_stored_as_int64(planted_run, tmp_path, monkeypatch):
    monkeypatch.setattr("dissect.runs.arrays.narrow", lambda counts: counts)
    wide = dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=200, progress=False)
    assert wide.array("units", "histogram").dtype == np.int64
    np.testing.assert_array_equal(
        wide.array("units", "histogram").values, planted_run.array("units", "histogram").values
    )


def test_a_full_disk_loses_what_came_after_the_last_save_and_no_more(
    planted_run, tmp_path, monkeypatch
):
    saves = []

    def full_at_the_third(path, arrays):
        path.write_bytes(b"torn")
        if len(saves) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        saves.append(path)
        save_arrays(path, arrays)

    monkeypatch.setattr("dissect.runs.partial.save_arrays", full_at_the_third)
    settings = {"n_samples": 200, "progress": False}
    with pytest.raises(
        RunError, match=r"No space left on device.*kept; make room.*--resume"
    ) as caught:
        dissect(PLANTED, "colour", out=tmp_path / "r", save_every=0, **settings)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    partial = tmp_path / "r.partial"
    kept = sorted(p.name for p in partial.iterdir())
    assert kept == ["key.json", "state.npz", "status.json"]
    assert Workspace(tmp_path / "r", planted_run.record["fingerprint"]).load().covered.ranges == (
        (0, 2),
    )
    resumed = dissect(PLANTED, "colour", out=tmp_path / "r", resume=True, **settings)
    assert resumed.table.equals(planted_run.table)


def test_a_disk_that_is_full_before_anything_was_saved_leaves_nothing(tmp_path, monkeypatch):
    def full(path, arrays):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dissect.runs.partial.save_arrays", full)
    with pytest.raises(RunError, match="nothing was saved yet"):
        dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=32, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_grow_is_told_by_the_command(tmp_path):
    code = (
        "import resource, sys; from dissect.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", PLANTED, "--segmenter", "colour", "--samples", "32",
         "--out", str(tmp_path / "r")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "cannot write in" in done.stderr.splitlines()[-1]
    assert "File too large" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_in_the_final_writing_keeps_the_pass(
    planted_run, tmp_path, monkeypatch
):
    def full(path, encoded):
        path.write_bytes(b"torn")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dissect.runs.write._write_strips", full)
    settings = {"out": tmp_path / "r", "n_samples": 200, "progress": False}
    with pytest.raises(RunError, match=r"No space left on device.*what was saved before is kept"):
        dissect(PLANTED, "colour", **settings)
    assert not (tmp_path / "r").exists()
    monkeypatch.undo()
    monkeypatch.setattr("dissect.counting.planes.label_block", None)  # nothing is counted again
    resumed = dissect(PLANTED, "colour", resume=True, **settings)
    assert resumed.strip("units", 0) == planted_run.strip("units", 0)
    assert not (tmp_path / "r.partial").exists()
