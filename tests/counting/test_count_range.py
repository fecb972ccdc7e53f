from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.config import RunConfig
from dissect.counting.count import choose_thresholds, count_range, empty_state
from dissect.counting.driver import count_pass, start_pass
from dissect.counting.pilot import KeptBlocks
from dissect.counting.subject import Subject
from dissect.progress import LINES, PROGRESS_VARIABLE, Stage, read_stage
from dissect.runs.coverage import Coverage
from dissect.runs.state import PassState
from segmenters import load_segmenter

LAYERS = ("units", "units@rotation:0", "units@pca:3")


@pytest.fixture(scope="module")
def pass_of(planted):
    """A subject of 13 blocks, the first three of them the calibration fold, and its start."""

    def make(**changed):
        given = {"n_samples": 104, "block": 8, "pilot": 16, "coactivation": True}
        config = RunConfig("planted", "colour", LAYERS, **given | changed)
        subject = Subject.of(planted, load_segmenter("colour"), config)
        state = start_pass(subject, progress=False)
        return subject.with_bases(state.bases), state

    return make


def contents(state):
    arrays = {name: array for name, array in state.to_arrays().items() if name != "seconds"}
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def counted(pass_of):
    subject, state = pass_of()
    return subject, state, count_range(subject, state, range(subject.n_blocks))


def test_counting_leaves_the_state_that_was_given_as_it_was(pass_of):
    subject, state = pass_of()
    before = contents(state)
    found = count_range(subject, state, range(4))
    assert contents(state) == before
    assert found.covered == Coverage(((0, 4),))
    assert found.counts["units"].histogram.sum() > 0


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(3, 13)), st.integers(1, 4))
def test_parts_in_any_order_and_number_are_the_same_bytes_as_the_whole(counted, order, n_parts):
    subject, start, whole = counted
    calibrated = count_range(subject, start, range(3))
    parts = [
        count_range(subject, empty_state(subject, calibrated), order[k::n_parts])
        for k in range(n_parts)
    ]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    assert contents(merged.merge(calibrated)) == contents(whole)
    assert contents(calibrated.merge(merged)) == contents(whole)


def test_a_block_of_both_folds_is_counted_on_top_of_those_before_it(pass_of):
    subject, start = pass_of(block=16)  # 24 samples of the second block's 32 are calibration
    whole = count_range(subject, start, range(7))
    two = count_range(subject, count_range(subject, start, [0]), [1])
    assert two.chosen
    rest = [count_range(subject, empty_state(subject, two), [n]) for n in (6, 3, 2, 5, 4)]
    merged = two
    for part in rest:
        merged = part.merge(merged)
    assert contents(merged) == contents(whole)


@pytest.mark.parametrize("parts", [[[0, 1, 2]], [[2], [0], [1]]])
def test_thresholds_are_chosen_where_the_calibration_fold_was_merged(counted, parts):
    subject, start, whole = counted
    found = [count_range(subject, empty_state(subject, start), numbers) for numbers in parts]
    merged = found[0]
    for part in found[1:]:
        merged = merged.merge(part)
    chosen = choose_thresholds(subject, merged).chosen
    assert contents(replace(whole, chosen=chosen)) == contents(whole)
    rest = count_range(subject, empty_state(subject, replace(merged, chosen=chosen)), range(3, 13))
    assert contents(rest.merge(merged)) == contents(whole)


def test_thresholds_are_not_chosen_on_a_part_of_the_calibration_fold(counted):
    subject, start, _ = counted
    with pytest.raises(ValueError, match="thresholds were asked for before the calibration fold"):
        choose_thresholds(subject, count_range(subject, start, [0, 2]))


def test_a_state_survives_its_file(counted):
    _, _, whole = counted
    again = PassState.from_arrays(whole.to_arrays())
    assert contents(again) == contents(whole)
    assert again.seconds == whole.seconds


def test_an_unfinished_pass_of_an_earlier_version_goes_on(counted):
    subject, start, whole = counted
    arrays = count_range(subject, start, range(6)).to_arrays()
    del arrays["covered"]
    for number in range(len(start.edges)):
        del arrays[f"{number}.chosen"]
    old = PassState.from_arrays(arrays | {"next_block": np.array(6)})
    assert old.covered == Coverage(((0, 6),))
    assert contents(count_range(subject, old, range(6, 13))) == contents(whole)


def test_a_block_is_counted_once(counted):
    subject, start, _ = counted
    some = count_range(subject, start, range(2))
    with pytest.raises(ValueError, match="block 1 was counted twice"):
        count_range(subject, some, [1])
    with pytest.raises(ValueError, match="block 0 was counted twice"):
        some.merge(some)


@pytest.mark.parametrize("block", [8, 16])
@pytest.mark.parametrize("missing", [0, 1])
def test_nothing_is_scored_before_the_calibration_fold_is_complete(pass_of, block, missing):
    subject, start = pass_of(block=block)
    last = 23 // block  # with a sample of the calibration fold
    some = count_range(subject, start, [n for n in range(last) if n != missing])
    later = last + 1 if missing < last else last + 2
    with pytest.raises(ValueError, match=f"block {later} was given before the calibration fold"):
        count_range(subject, some, [later])


def test_parts_of_different_passes_are_not_merged(counted, pass_of):
    subject, start, _ = counted
    other_subject, other = pass_of(seed=1)
    one = count_range(subject, start, [0])
    two = count_range(other_subject, other, [1])
    with pytest.raises(ValueError, match="states of different passes"):
        one.merge(two)


def test_progress_counts_all_passes_and_goes_on_where_this_one_was_interrupted(
    pass_of, tmp_path, monkeypatch, capsys
):
    subject, start = pass_of()
    state = count_range(subject, start, range(4))
    noted = []
    workspace = SimpleNamespace(
        write_status=lambda status: noted.append((status["done"], status["total"])),
        save=lambda state, number: None,
    )
    monkeypatch.setenv(PROGRESS_VARIABLE, LINES)
    monkeypatch.setattr("dissect.counting.status._EVERY", 0.0)  # after every block
    capsys.readouterr()
    with KeptBlocks(0, folder=tmp_path) as kept:
        count_pass(subject, state, kept, workspace, number=1, n_passes=3, progress=True)
    # 104 samples of the first pass, 32 of this one, and the next block of 8.
    assert (noted[0], noted[-1]) == ((104 + 40, 312), (208, 312))
    lines = capsys.readouterr().err.splitlines()
    first = next(stage for line in lines if (stage := read_stage(line)) is not None)
    assert first == Stage("dissect 2/3", 32, 104, "image")


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_coverage_is_a_set_of_numbers(one, two):
    a, b = Coverage.of(one), Coverage.of(two)
    assert len(a) == len(one)
    assert [n for n in range(21) if n in a] == sorted(one)
    assert list(a.missing(15)) == [n for n in range(15) if n not in one]
    assert a.holds(8) == one.issuperset(range(8))
    assert Coverage.from_array(a.to_array()) == a
    if one & two:
        with pytest.raises(ValueError, match="was counted twice"):
            a.merge(b)
    else:
        assert a.merge(b) == b.merge(a) == Coverage.of(one | two)
