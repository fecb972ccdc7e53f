"""Effects and paintings that an earlier version stored: they open, are shown, and come out again."""

import argparse
import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dissect import dissect
from dissect.painting.canvas import Canvas, to_png
from dissect.painting.recipe import read_recipe, write_recipe
from dissect.settings import given_settings
from dissect.studies import measure, open_effect
from dissect.studies.registry import study_of

STORED = Path(__file__).resolve().parents[1] / "data" / "effects"
NAMES = [*sorted(path.stem for path in STORED.glob("*-*.json")), "stripe"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run that they were measured on, made again."""
    return dissect(
        "dissect.worlds.planted:generator", "colour", out=tmp_path_factory.mktemp("early") / "r",
        layers=["units", "units@rotation:0"], n_samples=128, progress=False,
    )  # fmt: skip


NEW = {"version", "random", "random_units", "draws", "run"}
"""What means something else by now: random sets share no unit with the chosen one, and the run is made
again with a newer schema, which its fingerprint holds.
"""


def assert_holds(found, stored):
    """Everything that an earlier version stored is there with the same value."""
    if isinstance(stored, dict):
        for name, value in stored.items():
            if name not in NEW:
                assert_holds(found[name], value)
    elif isinstance(stored, list):
        assert len(found) == len(stored)
        for one, other in zip(found, stored, strict=True):
            assert_holds(one, other)
    else:
        assert found == stored


def plain(value):
    """A record without the time that it took, numbers rounded beyond the rounding of a processor."""
    if isinstance(value, dict):
        return {
            name: plain(one)
            for name, one in value.items()
            if name not in ("images_per_second", "region")
        }
    if isinstance(value, list):
        return [plain(one) for one in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


@pytest.mark.parametrize("name", NAMES)
def test_an_effect_of_an_earlier_version_opens_is_shown_and_comes_out_again(run, name):
    stored = json.loads((STORED / f"{name}.json").read_text())
    place = run.path / "effects" / name
    place.mkdir(parents=True)
    (place / "recipe.json").write_text(json.dumps(stored))
    effect = open_effect(run, name)
    study = study_of(effect)
    assert study.headline(effect.record["summary"])
    assert study.describe(effect.record["summary"]).to_text()
    words = shlex.split(study.command(effect.record["question"]))
    assert words[:3] == ["dissect", study.kind, "RUN"]
    parser = argparse.ArgumentParser()
    study.add_options(parser)
    asked = study.question(
        **study.fixed, **given_settings(parser.parse_args(words[3:]), study.question)
    )
    for key, value in effect.record["question"].items():  # the command asks the same question
        if (study.kind, key) != ("ablate", "value"):
            assert json.loads(json.dumps(getattr(asked, key))) == value
    # The same question is answered in the same place, so it counts as the same question.
    question = effect.record["question"]
    given = {key: value for key, value in question.items() if key not in study.fixed}
    if given.get("picked"):  # from which these follow
        del given["order"], given["n_units"]
    again = measure(run, study.kind, name=name, progress=False, **given).effect
    assert_holds(plain(again.record), plain(stored))


def test_a_painting_of_an_earlier_version_is_the_same_file_and_image(run):
    data = (STORED / "painting.json").read_bytes()
    painting = read_recipe(data)
    assert write_recipe(painting) == data
    expected, found = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        for png in (
            (STORED / "painting.png").read_bytes(),
            to_png(Canvas(run).paint(painting).image),
        )
    )
    assert np.abs(found - expected).max() <= 1
