import io
import json
import struct
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dissect.edits import Move, Scale, to_json
from dissect.errors import ConfigError
from dissect.painting.masks import LARGEST_BYTES, read_mask, write_mask
from dissect.painting.recipe import Painting, read_recipe, write_recipe
from dissect.painting.strokes import Stroke

MASK = write_mask(np.tri(8, dtype=bool))
STROKES = (
    Stroke("draw", "units", (0, 5), (1.5, -2.0), 2.0, box=(0, 0, 8, 16), concept="red"),
    Stroke("remove", "units", (1,), mask=MASK),
)
PAINTING = Painting("f" * 64, "r" * 64, 32, 7, 3, 0.7, None, 1, STROKES)


def png(width, height, *, depth=8, colour=6, data=b""):
    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def saved(picture, kind="PNG"):
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def test_what_is_read_is_what_was_written():
    assert read_recipe(write_recipe(PAINTING)) == PAINTING
    assert write_recipe(read_recipe(write_recipe(PAINTING))) == write_recipe(PAINTING)


EDITED = replace(PAINTING, edits=(Move("z", [1.0, -0.5], 2.0), Scale("units", [3], 0.5)))


def test_edits_of_the_common_format_make_a_recipe_of_version_2():
    content = EDITED.to_json()
    assert content["version"] == 2
    assert content["edits"] == to_json(EDITED.edits)
    again = read_recipe(write_recipe(EDITED))
    assert again == EDITED
    assert hash(again) == hash(EDITED)
    assert write_recipe(again) == write_recipe(EDITED)


def test_a_recipe_without_edits_keeps_the_bytes_of_version_1():
    content = PAINTING.to_json()
    assert content["version"] == 1
    assert "edits" not in content
    assert write_recipe(replace(EDITED, edits=())) == write_recipe(PAINTING)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"edit": "move"}, "edits is"),
        ([{"edit": "fly"}], "an edit of the recipe is 'fly'"),
        ([{"edit": "move", "space": "z", "vector": [0.0]}], "vector is zero"),
        ([{"edit": "ablate", "layer": "a", "units": [0]}] * 65, "at most 64"),
    ],
)  # fmt: skip
def test_edits_that_cannot_be_read_are_one_line(edits, message):
    content = {**EDITED.to_json(), "edits": edits}
    with pytest.raises(ConfigError, match=message) as caught:
        Painting.from_json(content)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="expected edits such as Move"):
        replace(PAINTING, edits=("move",))


def test_a_canvas_marks_where_it_is_opaque():
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[1, 2, 3] = 255
    marked = read_mask(saved(Image.fromarray(rgba)))
    assert marked.shape == (4, 6)
    assert np.argwhere(marked).tolist() == [[1, 2]]


def test_a_mask_is_one_bit_for_each_pixel_and_comes_back():
    mask = np.random.default_rng(0).random((64, 48)) > 0.5
    assert (read_mask(write_mask(mask)) == mask).all()
    assert write_mask(mask)[24] == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(100_000, 100_000), "at most 1024"),
        (png(2**31 - 1, 1), "at most 1024"),
        (png(0, 5), "at most 1024"),
        (png(8, 8, colour=2), "colour type 2"),
        (png(8, 8, depth=16), "16 bits"),
        (png(8, 8, data=b"nothing"), "damaged"),
        (png(8, 8, data=zlib.compress(b"\0" * 100)[:9]), "damaged"),
        (b"\x89PNG\r\n\x1a\n", "not a PNG"),
        (b"", "not a PNG"),
        (b"GIF89a" + bytes(100), "not a PNG"),
        (saved(Image.new("RGB", (8, 8)), "JPEG"), "not a PNG"),
        (MASK + bytes(LARGEST_BYTES), "bytes; expected at most"),
    ],
)
def test_a_mask_that_is_none_is_refused_in_one_line(data, expected):
    with pytest.raises(ConfigError, match=expected) as caught:
        read_mask(data)
    assert "\n" not in str(caught.value)


def test_a_giant_picture_is_refused_before_it_is_decoded(monkeypatch):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(Image, "open", never)
    with pytest.raises(ConfigError, match="at most 1024"):
        read_mask(png(60_000, 60_000))


def changed(**values):
    return PAINTING.to_json() | values


def stroke(**values):
    return changed(strokes=[STROKES[0].to_json() | values])


@pytest.mark.parametrize(
    "content",
    [
        None, [], 3, "recipe", {}, changed(kind="run"), changed(version=3), changed(version=2), changed(edits=[]), changed(version="1"),
        changed(seed=-1), changed(seed=1.5), changed(seed=True), changed(seed=2**64),
        changed(index=None), changed(index=2**63), changed(truncation="x"), changed(truncation=9),
        changed(label=-1), changed(threads=0), changed(threads=10**6), changed(image_size=0),
        changed(generator=None), changed(generator="g" * 1000), changed(extra=1),
        changed(strokes=None), changed(strokes={}), changed(strokes=[None]),
        changed(strokes=[STROKES[0].to_json()] * 65),
        stroke(mode="erase"), stroke(layer=3), stroke(layer=""), stroke(units=[]),
        stroke(units=[-1, 2]), stroke(units=[1, 1]), stroke(units="01"), stroke(units=[1.0, 2]),
        stroke(units=list(range(5000))), stroke(values=[1]), stroke(values=[1, "2"]),
        stroke(values=[1, 10**400]), stroke(strength=-1), stroke(strength=99), stroke(strength=None),
        stroke(region=3), stroke(region={}), stroke(region={"box": [0, 0, 8]}),
        stroke(region={"box": [0, 0, 8, 8.5]}), stroke(region={"mask": "%%%"}),
        stroke(region={"mask": 3}), stroke(region={"mask": "AAAA"}),
        stroke(region={"mask": "A" * 3_000_000}), stroke(region={"box": [0] * 4, "mask": ""}),
        stroke(region={"file": "/etc/passwd"}), stroke(concept=[]),
    ],
)  # fmt: skip
def test_a_recipe_that_is_wrong_is_refused_in_one_short_line(content):
    with pytest.raises(ConfigError) as caught:
        Painting.from_json(content)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"1" * 5000, bytes(5_000_000)]
)
def test_a_file_that_is_no_recipe_is_refused(data):
    with pytest.raises(ConfigError, match="recipe"):
        read_recipe(data)


def test_a_mask_that_marks_nothing_and_a_number_that_is_none_are_refused():
    with pytest.raises(ConfigError, match="marks no pixel"):
        Stroke("remove", "units", (1,), mask=write_mask(np.zeros((4, 4), bool)))
    text = json.dumps(stroke(values=[1, 2])).replace("[1, 2]", "[1, NaN]")
    with pytest.raises(ConfigError, match="finite"):
        read_recipe(text.encode())


def test_a_box_that_leaves_the_image_is_refused():
    outside = Stroke("remove", "units", (1,), box=(0, 0, 33, 8))
    with pytest.raises(ConfigError, match="0 to 32 pixels"):
        outside.region(32)


def test_recipes_and_the_webs_side_of_rendering_know_nothing_of_torch():
    code = (
        "import sys, dissect.painting.recipe, dashboard.rendering.renderers, "
        "dashboard.painting.history, dashboard.painting.state; "
        "sys.exit(bool({'torch', 'dash'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
