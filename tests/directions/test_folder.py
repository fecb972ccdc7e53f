import io
import json

import numpy as np
import pytest
from PIL import Image

from dissect import ConfigError
from dissect.directions.direction import Direction, Provenance
from dissect.directions.effects import measure_effects
from dissect.directions.folder import (
    DirectionFolder,
    folders_of,
    open_folder,
    rewrite_record,
    write_folder,
)
from dissect.directions.naming import NOTHING, describe_meanings, name_directions
from dissect.directions.rescoring import rescore
from dissect.directions.samples import AttributeReader
from dissect.directions.strips import draw_random_strip, draw_strip
from tests.directions.worlds import generator, predictor

READER = AttributeReader([predictor()])
RED = Direction("first", "z", np.eye(40)[0])
MINUS_GREEN = Direction("second", "z", -np.eye(40)[1])
NO = Direction("third", "z", np.eye(40)[5])


@pytest.fixture(scope="module")
def effects():
    return rescore(generator(), READER, [RED, MINUS_GREEN, NO], n_samples=64, draws=3)


def folder_at(path, effects=None, **others):
    world = generator()
    about = {"name": world.name, "fingerprint": world.fingerprint}
    return DirectionFolder(path, (RED, MINUS_GREEN, NO), about, "sefa", effects, **others)


def test_directions_are_named_by_what_they_change(effects):
    first, second, third = name_directions(effects)
    assert (first.label, second.label, third.label) == ("red +", "green −", NOTHING)
    assert first.side_effects == ()
    assert first.specificity == 1
    assert first.main.low <= first.main.value <= first.main.high
    assert first.main.value > first.main.floor
    blue = Direction("blue", "z", np.eye(40)[2])  # drags green along
    (named,) = name_directions(rescore(generator(), READER, [blue], n_samples=64, draws=3))
    assert named.label == "blue +"
    assert [one.attribute for one in named.side_effects] == ["green"]
    assert 0.5 < named.specificity < 1
    text = describe_meanings((first, second, third), effects)
    assert "green −" in text
    assert "nothing else" in text


def test_an_effect_below_the_floor_names_nothing():
    plain = np.random.default_rng(0).standard_normal((100, 1))
    effects = measure_effects(
        plain, plain[None] + 0.2, plain[None] + 0.3, names=["a"], attributes=["x"]
    )
    assert effects.low[0, 0] > 0  # certain, but any direction does as much
    assert name_directions(effects)[0].label == NOTHING


def test_a_folder_is_read_as_it_was_written(tmp_path, effects):
    target = tmp_path / "runs" / "a" / "directions" / "sefa"
    card = {"first": {"target": "red", "value": 1.5}}
    write_folder(
        folder_at(target, effects, layers={"first": effects}, cards=card),
        [b"strip 0", b"strip 1", b"strip 2"],
        b"random",
    )
    found = open_folder(target)
    assert found.directions == (RED, MINUS_GREEN, NO)
    assert np.allclose(found.effects.signed, effects.signed)
    assert found.effects.names == effects.names
    assert found.effects.n_samples == 64
    assert np.array_equal(found.layers["first"].beyond, effects.beyond)
    assert found.cards == card
    assert [one.label for one in found.meanings] == ["red +", "green −", NOTHING]
    assert (found.strip(1), found.strip(None), found.strip(7)) == (b"strip 1", b"random", None)
    assert folders_of(tmp_path / "runs" / "a") == [target]
    assert folders_of(tmp_path) == []
    assert [found.find("second"), found.find("2")] == [1, 2]
    with pytest.raises(ConfigError, match="did you mean 'first'"):
        found.find("frist")
    rewrite_record(found)
    assert open_folder(target).strip(1) == b"strip 1"
    write_folder(folder_at(target))  # in the place of the older one
    assert open_folder(target).effects is None
    assert open_folder(target).strip(1) is None


def test_an_attribute_without_a_value_is_stored_as_null(tmp_path):
    plain = np.c_[np.arange(4.0), np.ones(4)]
    effects = measure_effects(
        plain, np.repeat(plain[None], 3, 0), plain[:0].reshape(0, 4, 2),
        names=["first", "second", "third"], attributes=["x", "still"],
    )  # fmt: skip
    write_folder(folder_at(tmp_path / "d", effects))
    assert "NaN" not in (tmp_path / "d" / "directions.json").read_text()
    assert np.isnan(open_folder(tmp_path / "d").effects.signed[:, 1]).all()


def change(path, **values):
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version": 2}, "newer version"),
        ({"format": "other"}, "format 'other'"),
        ({"directions": ["../outside.safetensors"]}, "damaged"),
        ({"directions": []}, "damaged"),
        ({"effects": {"names": ["a"]}}, "damaged"),
        ({"cards": [1]}, "damaged"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(tmp_path, effects, values, message):
    write_folder(folder_at(tmp_path / "d", effects))
    change(tmp_path / "d" / "directions.json", **values)
    with pytest.raises(ConfigError, match=message) as caught:
        open_folder(tmp_path / "d")
    assert "\n" not in str(caught.value)


def test_nothing_else_is_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(ConfigError, match="holds no directions"):
        write_folder(folder_at(tmp_path / "mine"))
    with pytest.raises(ConfigError, match="dissect directions fit makes one"):
        open_folder(tmp_path / "mine")


def test_a_strip_has_a_row_for_each_sample_and_a_column_for_each_strength():
    world = generator()
    strip = Image.open(io.BytesIO(draw_strip(world, RED, rows=2, tile=32, strengths=(-3, 0, 3))))
    pixels = np.asarray(strip).astype(float)
    assert pixels.shape == (2 * 34 - 2, 3 * 34 - 2, 3)
    red = [pixels[10, 10 + 34 * k, 0] for k in range(3)]
    assert red[0] < red[1] < red[2]
    green = [pixels[10, 10 + 34 * k, 1] for k in range(3)]
    assert max(green) - min(green) < 12  # that of a lossy picture
    assert draw_random_strip(world, RED) != draw_random_strip(world, RED, seed=1)


def test_directions_of_another_generator_are_refused():
    foreign = Direction(
        "x", "z", np.eye(40)[0], provenance=Provenance(fingerprints={"generator": "0" * 64})
    )
    with pytest.raises(ConfigError, match="expected the same generator"):
        rescore(generator(), READER, [foreign])
