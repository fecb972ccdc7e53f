import pytest
import torch

from dissect import ConfigError, dissect
from dissect.config import RunConfig
from dissect.counting.planes import PlaneStore, cache_folder
from dissect.counting.subject import Subject
from segmenters.colour import ColourSegmenter

PLANTED = "dissect.worlds.planted:generator"


class Counting(ColourSegmenter):
    """Counts the images that it has segmented."""

    segmented = 0

    def segment(self, images):
        self.segmented += len(images)
        return super().segment(images)


def arrays(run):
    root = run.path / "arrays.zarr"
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def store(planted, tmp_path):
    config = RunConfig(PLANTED, "colour", ("units",), n_samples=32)
    images = planted.synthesize(planted.sample(range(32), seed=0))

    def open_store(segmenter, **settings):
        subject = Subject(planted, segmenter, config)
        return PlaneStore(subject, tmp_path / "cache", **settings)

    return open_store, images, list(range(32)), tmp_path / "cache"


def test_a_run_has_the_same_bytes_with_and_without_a_cache_and_segments_once(tmp_path):
    segmenter = Counting()
    settings = {"n_samples": 64, "progress": False, "layers": ["units"]}
    plain = dissect(PLANTED, segmenter, out=tmp_path / "plain", **settings)
    usual = segmenter.segmented
    first = dissect(PLANTED, segmenter, out=tmp_path / "a", cache=tmp_path / "c", **settings)
    assert segmenter.segmented == 2 * usual
    second = dissect(PLANTED, segmenter, out=tmp_path / "b", cache=tmp_path / "c", **settings)
    # What is left is the measure of trust, which looks at other images.
    assert segmenter.segmented == 3 * usual - 64
    assert arrays(plain) == arrays(first) == arrays(second)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "renamed"])
def test_a_damaged_entry_is_told_in_a_line_and_made_again(store, damage, capsys):
    open_store, images, indices, cache = store
    segmenter = Counting()
    planes = open_store(segmenter).label(images, indices)
    (file,) = cache.rglob("*.planes")
    good = file.read_bytes()
    if damage == "renamed":  # masks of other samples
        moved = [index + 32 for index in indices]
        file.rename(file.with_name(f"{32:09d}-32.planes"))
        file = file.with_name(f"{32:09d}-32.planes")
        indices = moved
    else:
        flipped = good[:-1] + bytes([good[-1] ^ 1])
        file.write_bytes({"flip": flipped, "cut": good[:60], "empty": b""}[damage])
    again = open_store(segmenter)
    assert torch.equal(again.label(images, indices), planes)
    assert again.n_read == 0
    assert segmenter.segmented == 64
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "is damaged; its masks are made again" in said
    healed = open_store(segmenter)
    assert torch.equal(healed.label(images, indices), planes)
    assert healed.n_read == 1


def test_other_weights_seeds_blocks_and_grids_have_entries_of_their_own(planted):
    from dataclasses import replace

    from dissect.counting.planes import planes_key

    segmenter, other = ColourSegmenter(), ColourSegmenter()
    other.fingerprint = "other"
    config = RunConfig(PLANTED, "colour", ("units",))
    changed = [{"seed": 1}, {"block": 8}, {"grid": 16}, {"truncation": 0.5}, {"label": 3}]

    def key_of(marks, settings):
        return planes_key(Subject(planted, marks, settings))

    keys = {key_of(segmenter, replace(config, **one)) for one in changed}
    keys |= {key_of(segmenter, config), key_of(other, config)}
    assert len(keys) == len(changed) + 2
    # More samples or other layers do not matter.
    more = replace(config, n_samples=5000, layers=())
    assert key_of(segmenter, more) == key_of(segmenter, config)


def test_a_cache_that_cannot_be_is_refused_in_one_line(planted, tmp_path):
    (tmp_path / "file").write_text("")
    config = RunConfig(PLANTED, "colour", ("units",))
    with pytest.raises(ConfigError, match="cannot be written; expected a folder") as caught:
        PlaneStore(Subject(planted, ColourSegmenter(), config), tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_the_users_own_cache_lies_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("DISSECT_CACHE", str(tmp_path))
    assert cache_folder("user") == tmp_path / "planes"
    assert cache_folder(tmp_path / "mine") == tmp_path / "mine"
    assert cache_folder(None) is None


def test_later_passes_read_the_masks_of_the_first(tmp_path, monkeypatch):
    from dissect.counting.grouping import Group

    segmenter = Counting()
    layers = ["units", "units@rotation:0"]
    settings = {"n_samples": 64, "progress": False, "layers": layers}
    one = dissect(PLANTED, segmenter, out=tmp_path / "one", **settings)
    usual = segmenter.segmented
    monkeypatch.setattr("dissect.counting.driver.divide", lambda *_: [Group((n,)) for n in layers])
    two = dissect(PLANTED, segmenter, out=tmp_path / "two", **settings)
    assert segmenter.segmented == 2 * usual
    assert arrays(one) == arrays(two)
    assert not list(tmp_path.glob("*.partial"))
