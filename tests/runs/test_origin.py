"""Which models of a run are loaded, and who has to name them first."""

import json
import shutil

import pytest

from dissect import RunError, dissect, open_run
from dissect.runs.origin import GENERATOR, SEGMENTER, model_spec, was_made_here
from dissect.signing import state_folder
from dissect.studies.originals import open_models

FACTORY = "tests.broken:small_images"


@pytest.fixture
def run(planted_run, tmp_path):
    """A run of others: a copy, whose generator is a factory."""
    out = shutil.copytree(planted_run.path, tmp_path / "received")
    _name(out, "generator", FACTORY)
    return out


def _name(run, kind, spec):
    record = json.loads((run / "run.json").read_text())
    record["config"][kind] = spec
    (run / "run.json").write_text(json.dumps(record))


def test_a_run_of_others_loads_what_this_package_has(planted_run, tmp_path):
    out = shutil.copytree(planted_run.path, tmp_path / "received")
    assert not was_made_here(out)
    generator, segmenter = open_models(open_run(out))
    assert (generator.name, segmenter.name) == ("planted", "colour")
    assert model_spec(open_run(out), SEGMENTER) == "colour"


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("generator", FACTORY),
        ("generator", "dissect.cli:main"),
        ("generator", "/etc/passwd"),
        ("generator", "../received/x.pt"),
        ("segmenter", FACTORY),
        ("segmenter", f"colour+{FACTORY}"),
        ("segmenter", "hf:owner/model"),
        ("segmenter", "torchvision:fcn_resnet50,names=/etc/passwd"),
    ],
)
def test_what_a_run_of_others_names_is_loaded_only_when_it_is_named_again(run, kind, spec):
    _name(run, kind, spec)
    with pytest.raises(RunError, match=f"was not made here.*--{kind}") as caught:
        model_spec(open_run(run), kind)
    assert "\n" not in str(caught.value)
    assert model_spec(open_run(run, **{kind: spec}), kind) == spec


def test_a_run_that_was_made_here_needs_no_naming_until_it_is_changed_or_moved(tmp_path):
    out = tmp_path / "mine"
    dissect("dissect.worlds.planted:generator", "colour", out=out, n_samples=32, progress=False)
    assert was_made_here(out)
    copy = shutil.copytree(out, tmp_path / "copy")
    assert not was_made_here(copy)
    text = (out / "run.json").read_text()
    _name(out, "generator", FACTORY)
    assert not was_made_here(out)
    (out / "run.json").write_text(text)
    assert was_made_here(out)
    # A record that others wrote, or one of another run, is none.
    records = list((state_folder() / "runs").iterdir())
    (own,) = [r for r in records if json.loads(r.read_text())["record"]["folder"] == str(out)]
    signed = json.loads(own.read_text())
    signed["record"]["folder"] = str(copy)
    own.write_text(json.dumps(signed))
    assert not was_made_here(out)


def test_a_file_in_the_runs_own_folder_is_read_and_one_behind_a_link_is_not(run, tmp_path):
    (run / "own.pt").write_bytes(b"weights")
    _name(run, "generator", "own.pt")
    assert model_spec(open_run(run), GENERATOR) == str(run / "own.pt")
    (tmp_path / "secret.pt").write_bytes(b"weights")
    (run / "own.pt").unlink()
    (run / "own.pt").symlink_to(tmp_path / "secret.pt")
    with pytest.raises(RunError, match="was not made here"):
        model_spec(open_run(run), GENERATOR)


def test_the_command_line_names_models_again(run, command):
    ask = ["ablate", run, "--concept", "red", "--units", 1, "--samples", 8, "--draws", 1]
    refused = command(*ask)
    assert refused.returncode == 2
    assert FACTORY in refused.stderr
    done = command(*ask, "--generator", "dissect.worlds.planted:generator")
    assert done.returncode == 0, done.stderr
    other = command(*ask[:3], "blue", *ask[4:], "--generator", "tests.broken:nan_images")
    assert other.returncode == 2  # named, and so loaded, and found to be another one
