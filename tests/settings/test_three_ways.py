"""The same wrong setting is refused with the same words in Python, on the command line, in a form."""

import pytest

from dashboard.components.setting_fields import read_field, setting_field, with_labels
from dashboard.work.requests import RunRequest
from dissect import dissect
from dissect.cli import main
from dissect.config import RunConfig
from dissect.errors import ConfigError
from dissect.settings.kinds import Switch

PLANTED = "dissect.worlds.planted:generator"


def in_python(tmp_path, name, value):
    with pytest.raises(ConfigError) as caught:
        dissect(PLANTED, "colour", out=tmp_path / "R", progress=False, **{name: value})
    return str(caught.value)


def on_the_command_line(tmp_path, capsys, flag, text):
    given = ["run", PLANTED, "--segmenter", "colour", "--out", str(tmp_path / "R")]
    assert main([*given, f"{flag}={text}"]) == 2
    return capsys.readouterr().err


def in_the_form(name, value):
    values = {"name": "r", "generator": PLANTED, "segmenters": ("colour",)}
    with pytest.raises(ConfigError) as caught:
        RunRequest(**values, **{name: read_field(RunRequest.declared[name], value)})
    return str(with_labels(caught.value, RunRequest))


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("seed", 1.5, "is 1.5; expected a whole number from 0 to 2**"),
        ("seed", -1, "is -1; expected a whole number from 0 to 2**"),
        ("n_samples", 8, "is 8; expected a whole number "),
        ("truncation", -3, "is -3; expected a number from -2 to 2"),
        ("threshold", "quantil", "is 'quantil'; did you mean 'quantile'? expected 'information' or 'quantile'"),
        ("tail", 1.0, "is 1.0; expected a number above 0 and below 1"),
        ("block", 12, "is 12; expected a multiple of 8 "),
        ("label", -1, "is -1; expected a whole number of at least 0"),
        ("compat", "gandisect", "is 'gandisect'; did you mean 'gandissect'?"),
        ("grid", "nativ", "is 'nativ'; did you mean 'native'?"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_the_same_words(tmp_path, capsys, name, value, line):
    one = RunConfig.declared[name]
    assert in_python(tmp_path, name, value).startswith(f"{name} {line}")
    told = on_the_command_line(tmp_path, capsys, one.flag, value)
    assert told.startswith(f"dissect: {one.flag} {line}")
    assert told.count("\n") == 1
    assert in_the_form(name, value).startswith(f"{one.label} {line}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("coactivation", "no", "is 'no'; expected True or False"),
        ("grid", True, "is True; expected a "),
        ("n_samples", "32", "is '32'; expected a whole number "),
        ("tail", None, "is None; expected a number above 0 and below 1"),
    ],
)
def test_a_wrong_type_that_no_command_line_can_give_is_refused_with_the_same_words(
    tmp_path, name, value, line
):
    assert in_python(tmp_path, name, value).startswith(f"{name} {line}")
    with pytest.raises(ConfigError) as caught:
        RunRequest(name="r", generator=PLANTED, segmenters=("colour",), **{name: value})
    assert str(caught.value).startswith(f"{name} {line}")


def test_an_unknown_setting_names_the_nearest(tmp_path, capsys):
    assert "did you mean 'n_samples'?" in in_python(tmp_path, "sampels", 50)
    told = on_the_command_line(tmp_path, capsys, "--sampels", 50)
    assert told.startswith("dissect: --sampels is not an option; did you mean '--samples'?")
    with pytest.raises(ConfigError, match="did you mean 'n_samples'"):
        RunRequest(name="r", generator=PLANTED, segmenters=("colour",), n_sampels=50)


def test_an_unknown_concept_among_150_names_the_nearest(capsys, planted_run, monkeypatch):
    from segmenters.vocabulary import Vocabulary

    rows = [(f"thing {i}", "object", "object", "#56b4e9") for i in range(149)]
    many = Vocabulary.build([*rows, ("window", "object", "object", "#56b4e9")])
    with pytest.raises(
        Exception, match="'windw' is not in the vocabulary; did you mean 'window'\\?"
    ) as caught:
        many["windw"]
    assert len(str(caught.value)) < 300
    assert main(["show", str(planted_run.path), "--concept", "rde"]) == 2
    assert "concept 'rde' is not in the vocabulary; did you mean 'red'?" in capsys.readouterr().err
    assert main(["ablate", str(planted_run.path), "--concept", "rde"]) == 2
    assert "did you mean 'red'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(RunRequest.declared))
def test_a_field_of_the_form_says_what_the_help_of_its_flag_says(name):
    one = RunRequest.declared[name]
    field = setting_field(one, "runs")
    assert field.id == f"runs-{name}"
    assert (field.label, field.description) == (one.label, one.meaning)
    if name in RunConfig.declared and name != "layers":
        assert one.meaning == RunConfig.declared[name].meaning
        assert one.default == RunConfig.declared[name].default
    shown = field.checked if isinstance(one.kind, Switch) else field.value
    if not one.required:
        assert read_field(one, shown) == one.default
