"""Samples are added to a finished run, and it has the bytes of a run of that many."""

import pytest

from dissect import ConfigError, RunError, open_run
from dissect.counting.count import PassCounter
from tests.counting.test_workers import files, make

SETTINGS = {"grid": 8, "mixtures": 0, "no_strips": True}


def watch(monkeypatch, *, fail_at=None):
    """The blocks that are counted from now on."""
    counted, add = [], PassCounter.add

    def note(self, number):
        if number == fail_at:
            raise KeyboardInterrupt
        counted.append(number)
        return add(self, number)

    monkeypatch.setattr(PassCounter, "add", note)
    return counted


def test_an_extended_run_is_the_bytes_of_one_made_at_once(tmp_path, monkeypatch):
    out, kept = tmp_path / "r", tmp_path / "r.counts"
    short = make(out, n_samples=4096, keep_counts=True, **SETTINGS)
    assert [path.name for path in kept.iterdir()] == ["state.npz"]
    before = short.record["fingerprint"]

    (out / "notes.sqlite").write_bytes(b"")
    with pytest.raises(RunError, match=r"'notes\.sqlite' was added since"):
        make(out, extend=4200, **SETTINGS)
    (out / "notes.sqlite").unlink()
    with pytest.raises(ConfigError, match=r"extend is 4,095; expected more than the 4,096"):
        make(out, extend=4095, **SETTINGS)
    with pytest.raises(RunError, match="other settings"):
        make(out, extend=4200, seed=1, **SETTINGS)

    with monkeypatch.context() as patch:
        watch(patch, fail_at=129)
        with pytest.raises(KeyboardInterrupt):
            make(out, extend=4200, save_every=0, **SETTINGS)
    assert open_run(out).record["fingerprint"] == before
    with monkeypatch.context() as patch:
        counted = watch(patch)
        extended = make(out, extend=4200, resume=True, **SETTINGS)
    assert counted == [129, 130, 131]
    assert files(extended) == files(make(tmp_path / "whole", n_samples=4200, **SETTINGS))
    assert extended.config.n_samples == 4200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "whole"]
    again = make(out, extend=4200, **SETTINGS)
    assert again.record == extended.record


def test_counts_that_nothing_could_be_added_to_are_not_kept(tmp_path):
    with pytest.raises(ConfigError, match=r"keep_counts .* 4,000 samples; expected at least 4,096"):
        make(tmp_path / "r", n_samples=4000, keep_counts=True)
    with pytest.raises(ConfigError, match=r"keep_counts .* batches of 32.*such as 4,096 samples"):
        make(tmp_path / "r", n_samples=4100, keep_counts=True)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_its_counts_is_not_extended(tmp_path):
    make(tmp_path / "r", n_samples=40, **SETTINGS)
    with pytest.raises(RunError, match="without --keep-counts"):
        make(tmp_path / "r", extend=80, **SETTINGS)
    with pytest.raises(RunError, match="not a run"):
        make(tmp_path / "none", extend=80, **SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
