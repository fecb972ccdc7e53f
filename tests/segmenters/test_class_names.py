"""Names of classes: sets of the package, files, colours."""

import json

import pytest
import torch

from segmenters import SegmenterError, class_names
from segmenters.colour import oklab


@pytest.mark.parametrize(
    ("name", "n_classes", "n_concepts", "some"),
    [
        ("ade20k", 150, 150, {0: "wall", 12: "person", 149: "flag"}),
        ("cityscapes", 19, 19, {0: "road", 11: "person", 18: "bicycle"}),
        ("voc", 21, 20, {1: "aeroplane", 15: "person", 20: "tv monitor"}),
    ],
)
def test_sets_of_the_package_have_their_classes_in_order(name, n_classes, n_concepts, some):
    found = class_names.shipped(name)
    assert len(found.rows) == n_classes
    assert {index: found.rows[index][0] for index in some} == some
    assert len(found.vocabulary) == n_concepts
    assert found.vocabulary.planes == (name,)
    assert len({concept.colour for concept in found.vocabulary}) == n_concepts


def test_classes_that_mark_nothing_become_none_and_others_count_on():
    assert class_names.shipped("voc").ids[:3].tolist() == [0, 1, 2]
    found = class_names.from_labels(
        ["sky", "__background__", "sea", "Unlabelled", "sky"], plane="p", source="s"
    )
    assert found.ids.tolist() == [1, 0, 2, 0, 3]
    assert found.vocabulary.names == ("sky", "sea", "sky 2")


def test_json_and_text_say_the_same(tmp_path):
    told = ["sky", {"name": "sand", "category": "material", "colour": "#123456"}, None]
    (tmp_path / "beach.json").write_text(json.dumps(told))
    (tmp_path / "beach.txt").write_text("sky\nsand\tmaterial\t#123456\n-\n")
    both = [class_names.from_file(tmp_path / f"beach.{kind}") for kind in ("json", "txt")]
    assert both[0].rows == both[1].rows
    assert both[0].plane == both[1].plane == "beach"
    assert both[0].rows[1:] == (("sand", "material", "#123456"), None)
    (tmp_path / "b.json").write_text(json.dumps({"plane": "shore", "classes": told}))
    assert class_names.from_file(tmp_path / "b.json").plane == "shore"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("3", "holds a int; expected a list"),
        ("[3]", "has 3 for class 0"),
        ('["a", "a"]', "names 'a' twice"),
        ('[{"name": "a", "category": "thing"}]', "category 'thing'"),
        ('[{"name": "a", "colour": "red"}]', "colour 'red'"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_line(tmp_path, content, message):
    (tmp_path / "names.json").write_text(content)
    with pytest.raises(SegmenterError, match=message) as caught:
        class_names.from_file(tmp_path / "names.json")
    assert "\n" not in str(caught.value)


def test_a_number_that_is_one_short_asks_for_the_background():
    twenty = class_names.from_labels([f"c{i}" for i in range(20)], plane="p", source="s")
    with pytest.raises(SegmenterError, match="expected 21, as the network has; begin with backgr"):
        twenty.check(21)


def test_sets_are_recognised_by_their_number_and_what_is_said_of_them():
    def plane(n_classes, text):
        found = class_names.recognise(n_classes, text)
        return found and found.plane

    assert plane(150, "anything") == "ade20k"
    assert plane(19, "segformer-b0-1024x1024-city-160k cityscapes") == "cityscapes"
    assert plane(19, "face-parsing") is None
    assert plane(21, "unet Pascal VOC 2012") == "voc"
    assert plane(21, "vocal cords") is None
    assert plane(20, "voc") is None


def test_the_first_colours_are_far_apart_and_all_can_be_seen():
    hexes = class_names.colours(256)
    rgb = torch.tensor([[int(c[i : i + 2], 16) / 127.5 - 1 for i in (1, 3, 5)] for c in hexes])
    lab = oklab(rgb.T[None, :, :, None])[0, :, 0]
    apart = torch.cdist(lab, lab) + 9 * torch.eye(256)
    assert apart[:12, :12].min() > 0.1
    assert apart.min() > 0.02
    assert lab[:, 0].min() > 0.25
    assert lab[:, 0].max() < 0.95
    assert class_names.colours(257)[256] == hexes[0]


@pytest.mark.parametrize("suffix", [".txt", ".json"])
def test_a_file_that_windows_marked_as_utf8_has_the_same_names(tmp_path, suffix):
    names = ["background", "sky", "Bäume"]
    text = json.dumps(names, ensure_ascii=False) if suffix == ".json" else "\n".join(names)
    plain, marked = tmp_path / f"plain{suffix}", tmp_path / f"marked{suffix}"
    plain.write_text(text, encoding="utf-8")
    marked.write_text(text, encoding="utf-8-sig")
    assert class_names.from_file(marked).rows == class_names.from_file(plain).rows
    assert class_names.from_file(marked).rows[0] is None


@pytest.mark.parametrize("name", ["ignore", "Ignore", "_ignore_", "IGNORE-REGION", "don't care"])
def test_classes_to_ignore_mark_nothing(tmp_path, name):
    (tmp_path / "names.txt").write_text(f"sky\n{name}")
    assert class_names.from_file(tmp_path / "names.txt").rows[1] is None
