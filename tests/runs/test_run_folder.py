import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from dissect import ConfigError, LayerError, RunError, SegmenterError, dissect, open_run
from dissect.runs.strips import outline

PLANTED = "dissect.worlds.planted:generator"


@pytest.fixture
def copy(planted_run, tmp_path):
    """A copy of the planted run that a test may damage."""
    return shutil.copytree(planted_run.path, tmp_path / "copy")


def test_iou_has_named_units_and_concepts(planted_run):
    iou = planted_run.iou("units")
    assert iou.dims == ("unit", "concept")
    assert iou.shape == (9, 11)
    assert float(iou.sel(concept="red")[0]) == 1
    quantile = planted_run.iou("units", threshold="quantile")
    # At a tail of 0.5 % only the brightest part of a shape that covers 3.5 % is above.
    assert 0 < float(quantile.sel(concept="red")[0]) < 0.25


def test_units_are_one_row_each_with_their_label(planted_run):
    units = planted_run.units("units")
    assert list(units.unit) == list(range(9))
    assert {"concept", "iou", "threshold", "information_quality_ratio"} <= set(units.columns)
    iou = planted_run.iou("units")
    for row in units.itertuples():
        assert row.iou == float(iou.sel(concept=row.concept)[row.unit])


def test_the_summary_counts_what_the_table_holds(planted_run):
    layer = planted_run.summary()["layers"]["units"]
    assert layer["units"] == 9
    assert layer["matches"] == 7
    assert layer["named"] == sum(layer["concepts"].values()) == 5
    assert layer["concepts"] == dict.fromkeys(["red", "blue", "yellow", "green", "purple"], 1)
    assert layer["axes"]["stand_out"]
    assert layer["axes"]["selective"] == 7
    json.dumps(planted_run.summary())


def test_the_parquet_table_holds_every_pair(planted_run):
    table = planted_run.table
    assert len(table) == 9 * 11
    assert table.is_label.sum() == 9


def test_a_strip_shows_the_top_images_with_the_mask_outlined(planted_run):
    strip = Image.open(io.BytesIO(planted_run.strip("units", 0)))
    assert strip.format == "WEBP"
    assert strip.size == (8 * 128, 128)
    pixels = np.asarray(strip.convert("RGB")).astype(int)
    red = (pixels[..., 0] > 150) & (pixels[..., 1:].max(axis=-1) < 90)
    # Each of the eight tiles shows a 24 × 24 px square (6 of 32 px at 128 px).
    for tile in range(8):
        assert red[:, 128 * tile : 128 * (tile + 1)].sum() > 300


def test_pictures_and_masks_are_kept_apart(planted_run):
    (strip,) = planted_run.strips("units", [0])
    plain = np.asarray(Image.open(io.BytesIO(strip.picture)).convert("RGB")).astype(int)
    overlay = np.asarray(Image.open(io.BytesIO(strip.overlay("#00ffff"))))
    assert plain.shape[:2] == (32, 8 * 32)  # the size of the images
    assert overlay.shape[:2] == (128, 8 * 128)
    masks = strip.masks()
    assert masks.shape == (8, 32, 32)
    # Unit 0 paints red squares of 6 × 6 px and is above its threshold there.
    assert masks.sum(axis=(1, 2)).tolist() == [36] * 8
    inside = np.concatenate(list(masks), axis=1)
    red = (plain[..., 0] > 150) & (plain[..., 1:].max(axis=-1) < 90)
    assert (inside & red).sum() / (inside | red).sum() > 0.5
    inside = inside.repeat(4, axis=0).repeat(4, axis=1)
    drawn = overlay[..., 3] == 255
    assert (overlay[drawn][:, :3] == [0, 255, 255]).all()
    assert not (drawn & ~inside).any()
    assert (overlay[..., 3] == 0).mean() > 0.8


def test_a_concept_shows_the_samples_in_which_the_segmenters_mask_of_it_is_largest(planted_run):
    from dissect import load_generator, load_segmenter

    generator, segmenter = load_generator(PLANTED), load_segmenter("colour")
    images = generator.synthesize(generator.sample(list(range(8)), seed=0))
    planes = segmenter.segment(images)[:, 0].numpy()
    for concept, one in zip(planted_run.vocabulary, planted_run.concept_strips(), strict=True):
        truth = planes == concept.id
        shares = truth.mean(axis=(1, 2))
        if one is None:
            assert not truth.any()
            continue
        largest = sorted(range(8), key=lambda sample: -shares[sample])[:6]
        shown = tuple(sample for sample in largest if shares[sample] > 0)
        assert one.samples == shown
        assert one.shares == tuple(shares[list(shown)])
        np.testing.assert_array_equal(one.strip.masks(), truth[list(shown)])
    assert [one.concept for one in planted_run.concept_strips("red", "blue")] == ["red", "blue"]
    with pytest.raises(SegmenterError, match="nope"):
        planted_run.concept_strips("nope")


def test_a_run_without_example_masks_is_read_and_says_so(copy):
    (copy / "images" / "+concepts.zip").unlink()
    edit(copy, lambda r: r["files"].pop("images/+concepts.zip"))
    run = open_run(copy)
    assert not run.has_concept_strips
    with pytest.raises(RunError, match="holds no example masks"):
        run.concept_strips("red")
    assert run.strip("units", 0)


def test_a_run_of_an_earlier_version_shows_the_strips_it_has(copy):
    archive = copy / "images" / "units.zip"
    with zipfile.ZipFile(archive) as file:
        held = {name: file.read(name) for name in file.namelist() if name.endswith(".webp")}
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in held.items():
            file.writestr(name, content)
    edit(copy, lambda r: r["files"]["images/units.zip"].update(bytes=archive.stat().st_size))
    run = open_run(copy)
    (strip,) = run.strips("units", [3])
    assert strip.mask is None
    assert strip.overlay("#00ffff") is None
    assert run.strip("units", 3) == held["unit-00003.webp"]


def test_an_outline_is_drawn_inside_the_mask_and_the_inside_is_left_alone():
    tiles = np.full((1, 16, 16, 3), 200, np.uint8)
    masks = np.zeros((1, 16, 16), bool)
    masks[0, 4:12, 4:12] = True
    drawn = outline(tiles, masks, "#0000ff")
    assert (drawn[0, 4, 4:12] == [0, 0, 255]).all()
    assert (drawn[0, 7:9, 7:9] == 200).all()
    assert (drawn[0, 3, 4:12] < 200).all()
    assert (drawn[0, :2] == 200).all()
    assert np.array_equal(outline(tiles, np.zeros_like(masks), "#0000ff"), tiles)


def test_a_mistake_in_what_is_asked_of_a_run_is_told(planted_run):
    with pytest.raises(LayerError, match="layer 'nope' is not in"):
        planted_run.units("nope")
    with pytest.raises(LayerError, match="unit 9 is not in units; expected 0 to 8"):
        planted_run.strip("units", 9)
    with pytest.raises(ConfigError, match="threshold is 'best'"):
        planted_run.iou("units", threshold="best")


def edit(folder, change):
    path = folder / "run.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "run.json").unlink(), "is not a run: it has no run.json"),
        (lambda f: (f / "run.json").write_text("{"), "run.json is damaged"),
        (lambda f: (f / "run.json").write_text("[]"), "run.json is damaged"),
        (lambda f: (f / "units.parquet").unlink(), "units.parquet is missing"),
        (lambda f: (f / "images" / "units.zip").write_bytes(b""), "units.zip has 0 bytes"),
        (lambda f: flip_a_byte(f / "units.parquet"), "units.parquet was changed"),
        (
            lambda f: flip_a_byte(
                f / "arrays.zarr" / "units" / "histogram" / "c" / "0" / "0" / "0" / "0"
            ),
            "was changed after it was written",
        ),
        (lambda f: edit(f, lambda r: r.update(schema_version=99)), "schema version 99.*update"),
        (lambda f: edit(f, lambda r: r.update(kind="cake")), "describes a 'cake'"),
        (lambda f: edit(f, lambda r: r.pop("files")), "run.json is damaged"),
        (lambda f: edit(f, lambda r: r["config"].pop("seed")), "run.json is damaged.*seed"),
        (lambda f: edit(f, lambda r: r["generator"].pop("layers")), "run.json is damaged"),
        (lambda f: edit(f, lambda r: r.update(segmenter=[])), "run.json is damaged"),
    ],
)
def test_a_damaged_or_newer_run_is_refused_by_name(copy, damage, message):
    damage(copy)
    with pytest.raises(RunError, match=message) as caught:
        open_run(copy)
    assert "\n" not in str(caught.value)


def test_a_zip_that_was_exchanged_is_told_when_it_is_read(copy):
    path = copy / "images" / "units.zip"
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(RunError, match=r"units\.zip is damaged"):
        open_run(copy).strip("units", 0)


def test_nothing_there_is_told(tmp_path):
    with pytest.raises(RunError, match="is not a run"):
        open_run(tmp_path / "nowhere")


def snapshot(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_that_holds_another_run_is_not_touched(copy):
    before = snapshot(copy)
    with pytest.raises(RunError, match=r"holds another run .*200 samples, seed 0"):
        dissect(PLANTED, "colour", out=copy, n_samples=64, progress=False)
    assert snapshot(copy) == before


def test_a_folder_or_file_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "letters", tmp_path / "file"):
        with pytest.raises(RunError, match="exists and is not a run"):
            dissect(PLANTED, "colour", out=out, n_samples=64, progress=False)
    assert (tmp_path / "letters" / "a.txt").read_text() == "dear"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "letters"]


def test_an_empty_folder_may_become_the_run(tmp_path):
    (tmp_path / "r").mkdir()
    run = dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=16, progress=False)
    assert run.config.n_samples == 16


def test_an_unfinished_run_asks_for_resume_and_for_the_same_settings(tmp_path, planted_run):
    from dissect.runs.partial import Workspace
    from dissect.runs.state import PassState

    workspace = Workspace(tmp_path / "r", planted_run.record["fingerprint"])
    with workspace.claim(resume=False):
        workspace.save(PassState({}, {}, *np.zeros((2, 0, 0), np.int64)))
    with pytest.raises(RunError, match="add --resume"):
        dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=200, progress=False)
    with pytest.raises(RunError, match="other settings"):
        dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=64, resume=True, progress=False)
    (workspace.folder / "state.npz").write_bytes(b"torn")
    with pytest.raises(RunError, match="is damaged"):
        dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=200, resume=True, progress=False)
    with pytest.raises(RunError, match="an unfinished run lies beside it"):
        open_run(tmp_path / "r")


def test_a_run_of_the_first_version_opens_and_says_which_rungs_it_lacks(tmp_path, planted_run):
    """Its table has one flag, and its arrays know neither areas nor mixtures."""
    import pandas as pd

    from dissect.runs.schema import file_digest
    from dissect.statistics.columns import CORE
    from dissect.terminal import describe_run

    old = tmp_path / "old"
    shutil.copytree(planted_run.path, old)
    table = pd.read_parquet(old / "units.parquet")
    flag = table.is_label & (table.rung > 0)
    newer = [one.name for one in CORE if one.since > 1]
    table = table.drop(columns=newer).assign(interpretable=flag)
    table.to_parquet(old / "units.parquet", index=False)
    for name in ("overlap", "chance_areas", "runner_up", "mixture_label"):
        for folder in (old / "arrays.zarr").glob(f"*/{name}"):
            shutil.rmtree(folder)
    record = json.loads((old / "run.json").read_text()) | {"schema_version": 1}
    files = {}
    for name in record["files"]:
        if (old / name).exists():
            file = old / name
            files[name] = {"bytes": file.stat().st_size, "sha256": file_digest(file)}
    (old / "run.json").write_text(json.dumps(record | {"files": files}))
    run = open_run(old)
    units = run.units("units")
    assert units.is_named.sum() == (units.rung == 1).sum() == 7
    assert run.mixtures("units") is None
    assert run.summary()["rungs"] == ["matches"]
    said = describe_run(run)
    assert "made before units were held against the areas" in said
    assert "7 match of 9" in said
    assert "named," not in said
