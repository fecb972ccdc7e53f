import argparse
import contextlib
import dataclasses
import inspect
import math
from pathlib import Path
from typing import Annotated, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissect.config import AnyTruncationConfig, RunConfig, RunOptions, RunSettings
from dissect.counting.driver import dissect
from dissect.counting.planning import plan_run
from dissect.errors import ConfigError, SettingError
from dissect.settings import Settings, add_settings, given_settings, like, setting
from segmenters.nearest import did_you_mean


class Blur(Settings, kw_only=True):
    """Settings of a blur.

    Raises:
        ConfigError: a wrong one.
    """

    radius: int = setting("of the blur, in pixels", at_least=0, at_most=9)
    strength: float = setting("share of the blurred image", default=0.5, above=0, below=1)
    edge: str = setting("what lies outside", default="mirror", choices=("mirror", "zero"))
    planes: tuple[int, ...] = setting("of the image", default=(), at_least=0)
    box: tuple[int, int] | None = setting("top and left", default=None)
    size: int | str = setting("of the result", default="same", at_least=1, choices=("same",))
    fast: bool = setting("approximate", default=False)
    out: Path | None = setting("file to write", default=None)

    def check(self):
        if self.fast and self.edge == "zero":
            raise SettingError("edge", "is 'zero' with fast; expected 'mirror'")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"radius": 1.0}, "radius is 1.0; expected a whole number from 0 to 9"),
        ({"radius": True}, "radius is True; expected a whole number from 0 to 9"),
        ({"radius": 10}, "radius is 10; expected a whole number from 0 to 9"),
        ({"radius": "1"}, "radius is '1'; expected a whole number from 0 to 9"),
        ({"radius": None}, "radius is None; expected a whole number from 0 to 9"),
        ({"strength": 0}, "strength is 0; expected a number above 0 and below 1"),
        ({"strength": math.nan}, "strength is nan; expected a number above 0 and below 1"),
        ({"strength": 10**400}, "strength is 1000000"),
        ({"edge": "miror"}, "edge is 'miror'; did you mean 'mirror'? expected 'mirror' or 'zero'"),
        ({"edge": 3}, "edge is 3; expected 'mirror' or 'zero'"),
        ({"planes": 3}, "planes is 3; expected a list of whole numbers of at least 0"),
        ({"planes": [0, -1]}, "planes is [0, -1]; expected a list of whole numbers of at least 0"),
        ({"box": (1, 2, 3)}, "box is (1, 2, 3); expected a whole number and a whole number"),
        ({"size": 0}, "size is 0; expected a whole number of at least 1 or 'same'"),
        ({"fast": 1}, "fast is 1; expected True or False"),
        ({"out": 3}, "out is 3; expected a path"),
        ({"raduis": 3}, "raduis is not a setting of Blur; did you mean 'radius'? expected radius, strength"),
        ({"fast": True, "edge": "zero"}, "edge is 'zero' with fast; expected 'mirror'"),
        ({"edge": np.zeros((40, 40))}, "edge is array([[0., 0., 0."),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_line_with_name_value_and_what_was_expected(given, line):
    with pytest.raises(ConfigError) as caught:
        Blur(**{"radius": 1, **given})
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("skye", ["sea", "sky"], "did you mean 'sky'? "),
        ("RED", ["blue", "red"], "did you mean 'red'? "),
        ("dcgan", ["DCGAN", "PGGAN"], "did you mean 'DCGAN'? "),
        ("violin", ["sea", "sky"], ""),
        (3, ["sea"], ""),
        ("x" * 10**6, ["sea"], ""),
    ],
)
def test_the_nearest_name_is_suggested_whatever_its_capitals(name, known, hint):
    assert did_you_mean(name, known) == hint


def test_a_missing_setting_is_named():
    with pytest.raises(ConfigError, match="Blur was given no radius"):
        Blur()


def test_values_are_kept_in_their_plain_form():
    blur = Blur(radius=np.int64(3), planes=[1, 2], out="here", strength=np.float32(0.5))
    assert (type(blur.radius), blur.planes, blur.out) == (int, (1, 2), Path("here"))
    assert type(blur.strength) is float
    assert dataclasses.replace(blur, radius=4).radius == 4
    with pytest.raises(ConfigError, match="radius is 11"):
        dataclasses.replace(blur, radius=11)
    with pytest.raises(dataclasses.FrozenInstanceError):
        blur.radius = 1


def test_a_docstring_lists_each_setting_with_its_range_and_default():
    assert (
        "        radius: Of the blur, in pixels. Expected: a whole number from 0 to 9.\n"
        in Blur.__doc__
    )
    assert "share of the blurred image. Expected: a number above 0 and below 1. Default: 0.5." in (
        Blur.__doc__.replace("Share", "share")
    )
    assert Blur.__doc__.index("Args:") < Blur.__doc__.index("Raises:")


def test_a_setting_like_another_keeps_what_is_not_changed():
    class Small(Settings):
        """Settings of a small blur."""

        radius: int = like(Blur, "radius", default=1, at_most=3)

    assert Small().radius == 1
    assert Small.declared["radius"].meaning == Blur.declared["radius"].meaning
    with pytest.raises(ConfigError, match="radius is 4; expected a whole number from 0 to 3"):
        Small(4)
    with pytest.raises(ConfigError, match="radius is -1"):
        Small(-1)


def options(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_settings(parser, Blur, without=["box"])
    return given_settings(parser.parse_args(arguments), Blur)


def test_the_command_line_gives_the_settings_of_python():
    given = options(
        "--radius", "3", "--strength", "0.25", "--planes", "0, 2", "--size", "7", "--fast", "--out", "x"
    )  # fmt: skip
    assert Blur(**given) == Blur(
        radius=3, strength=0.25, planes=(0, 2), size=7, fast=True, out=Path("x")
    )
    assert Blur(**options("--radius", "3")) == Blur(radius=3)
    assert options("--radius=3", "--size=same")["size"] == "same"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--radius", "1.5"], "--radius is 1.5; expected a whole number from 0 to 9"),
        (["--radius", "x"], "--radius is 'x'; expected a whole number from 0 to 9"),
        (["--radius=-1"], "--radius is -1; expected a whole number from 0 to 9"),
        (["--rad", "-1"], "--radius is -1; expected a whole number from 0 to 9"),
        (
            ["--planes", "0,,2"],
            "--planes is '0,,2'; expected a list of whole numbers of at least 0",
        ),
        (["--edge", "miror"], "--edge is 'miror'; did you mean 'mirror'? expected"),
        (["--strength", "nan"], "--strength is nan; expected a number"),
        (["--size", "sam"], "--size is 'sam'; did you mean 'same'?"),
    ],
)
def test_the_command_line_names_the_flag(arguments, line):
    with pytest.raises(ConfigError) as caught:
        options("--radius=1", *arguments)
    assert str(caught.value).startswith(line)


def test_help_says_the_meaning_and_the_default(capsys):
    parser = argparse.ArgumentParser()
    add_settings(parser, Blur)
    text = " ".join(parser.format_help().split())
    assert "--strength STRENGTH share of the blurred image (default: 0.5)" in text
    assert "--edge mirror|zero what lies outside (default: mirror)" in text


@given(st.integers(-20, 20))
def test_a_whole_number_is_taken_exactly_in_its_range(value):
    try:
        assert Blur(radius=value).radius == value
        assert 0 <= value <= 9
    except ConfigError:
        assert not 0 <= value <= 9


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
                 st.lists(st.integers()), st.dictionaries(st.text(), st.text())),
       st.sampled_from([name for name in RunConfig.declared if name not in ("layers",)]))  # fmt: skip
def test_whatever_is_given_to_a_run_is_taken_or_told_in_one_line(value, name):
    models = {"generator": "g", "segmenter": "s", "layers": ()}
    with contextlib.suppress(ConfigError):
        taken = getattr(RunConfig(**models | {name: value}), name)
        assert taken == value
        return
    with pytest.raises(ConfigError) as caught:
        RunConfig(**models | {name: value})
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith(name)


def test_the_typed_settings_of_dissect_are_those_of_a_run():
    hints = get_type_hints(RunConfig)
    own = {name for name, one in RunConfig.declared.items() if not one.required}
    assert {name: hints[name] for name in own} == get_type_hints(RunSettings)


@pytest.mark.parametrize("function", [dissect, plan_run])
def test_a_signature_spells_out_every_setting_with_its_default(function):
    parameters = inspect.signature(function).parameters
    assert not any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for name in RunSettings.__annotations__:
        assert parameters[name].default == getattr(RunConfig, name)
        assert parameters[name].annotation is not inspect.Parameter.empty


def test_options_of_dissect_have_the_defaults_of_its_signature():
    parameters = inspect.signature(dissect).parameters
    for name, one in RunOptions.declared.items():
        assert parameters[name].default == one.default


def test_settings_of_older_runs_with_a_large_truncation_still_open():
    stored = RunConfig("g", "s", ("a",)).to_json() | {"truncation": -3.5}
    config = RunConfig.from_json(stored)
    assert isinstance(config, AnyTruncationConfig)
    assert config.to_json() == stored
    assert dataclasses.replace(config, layers=()).truncation == -3.5
    assert type(RunConfig.from_json(RunConfig("g", "s", ("a",)).to_json())) is RunConfig
    with pytest.raises(ConfigError, match="seed is -1"):
        RunConfig.from_json(stored | {"seed": -1})


def test_a_field_of_a_type_without_a_kind_is_left_to_its_class():
    class Odd(Settings):
        """Settings with a field that only its class can check."""

        where: Annotated[dict, "of anything"] = setting("anything", default=None)

    assert Odd({1: 2}).where == {1: 2}
