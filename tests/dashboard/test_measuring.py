import time
from pathlib import Path

import pytest

from dashboard.measuring.measurements import Measurements, Question
from dissect.errors import ConfigError


def question(**changed):
    given = {"kind": "ablate", "concept": "red", "name": "mine", "units": 1, "samples": 8}
    return Question(**(given | changed))


@pytest.mark.parametrize(
    ("field", "value"),
    [("kind", "rm"), ("kind", None), ("order", "--help"), ("name", "../mine"), ("name", "a/b"),
     ("name", ".."), ("name", 3), ("units", 0), ("units", True), ("units", 1.5), ("samples", 1),
     ("picked", (3,)), ("picked", tuple(range(5000))), ("samples", 10**9), ("samples", "8"), ("curve", "yes"), ("curve", 1)],
)  # fmt: skip
def test_a_question_that_cannot_be_measured_is_refused(field, value):
    with pytest.raises(ConfigError, match="expected"):
        question(**{field: value})


def test_no_value_of_a_question_can_become_an_option(tmp_path):
    asked = question(concept="--device=evil", name="-x", layer="--json", curve=True)
    words = asked.arguments(tmp_path)
    assert words[0] == "ablate"
    assert words[-2:] == ["--", str(tmp_path)]
    assert {"--concept=--device=evil", "--layer=--json", "--name=-x", "--curve=iou"} <= set(words)
    assert all("=" in word for word in words[1:-2])


def test_units_by_hand_take_the_place_of_how_many_by_which_order(tmp_path):
    words = question(picked=(3, 1), order="picked", layer="units", curve=True).arguments(tmp_path)
    assert {"--pick=3,1", "--layer=units", "--curve=picked"} <= set(words)
    assert not [word for word in words if word.startswith(("--units", "--order"))]
    with pytest.raises(ConfigError, match="no layer is; choose theirs"):
        question(picked=(3, 1), order="picked")


def test_contexts_have_no_curve(tmp_path):
    words = question(kind="context", curve=True).arguments(tmp_path)
    assert not [word for word in words if word.startswith("--curve")]


@pytest.fixture
def measurements():
    found = Measurements()
    yield found
    found.close()


def wait(measurements, run):
    end = time.monotonic() + 60
    while any(one.running for one in measurements.progress(run)):
        assert time.monotonic() < end
        time.sleep(0.05)
    return measurements.progress(run)


def test_a_failure_is_told_in_the_words_of_the_command_which_works_where_the_server_does(
    measurements, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    measurements.start(Path("empty"), question())
    (found,) = wait(measurements, Path("empty"))
    assert found.state == "failed"
    assert "empty is not a run: it has no run.json" in found.told
    assert measurements.progress(tmp_path) == []


def test_few_are_measured_at_once_and_each_name_once_until_it_is_stopped(measurements, tmp_path):
    measurements.start(tmp_path, question(name="one"))
    with pytest.raises(ConfigError, match="already"):
        measurements.start(tmp_path, question(name="one"))
    measurements.start(tmp_path, question(name="two"))
    with pytest.raises(ConfigError, match="2 measurements"):
        measurements.start(tmp_path, question(name="three"))
    for name in ("one", "two"):
        measurements.stop(tmp_path, name)
    assert [one.state for one in wait(measurements, tmp_path)] == ["stopped", "stopped"]
