from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dissect import (
    ConfigError,
    GeneratorError,
    LayerError,
    SegmenterError,
    dissect,
    open_run,
    trace,
)
from dissect.config import RunConfig
from dissect.counting.samples import label_block, mask_grid
from dissect.counting.subject import Subject
from dissect.statistics import calibration_size, reference
from dissect.statistics.edges import quantile_edge, tail_fractions
from dissect.statistics.ladder import MATCHES, NAMED, NONE
from dissect.statistics.resize import resize
from dissect.statistics.scores import above
from segmenters import load_segmenter

PLANTED = "dissect.worlds.planted:generator"
# Pixels of the planted shapes: square, plus, disc, bar.
SQUARE, PLUS, DISC = 36, 20, 32


def test_planted_units_are_found_with_exact_scores(planted_run):
    units = planted_run.units("units").set_index("unit")
    for unit, concept in enumerate(["red", "green", "blue", "yellow", "purple"]):
        assert units.concept[unit] == concept
        assert units.iou[unit] == 1
        assert units.precision[unit] == units.recall[unit] == 1
        assert units.rung[unit] == NAMED
    # Half of the square; the plus and the disc, of which the disc is the larger part.
    assert units.iou[5] == 0.5
    assert units.concept[6] == "blue"
    assert units.iou[6] == pytest.approx(DISC / (DISC + PLUS), abs=1e-12)
    iou = planted_run.iou("units")
    assert float(iou.sel(concept="green")[6]) == pytest.approx(PLUS / (DISC + PLUS), abs=1e-12)
    # Units that follow what others paint match it, but mixtures do so as well.
    assert units.rung[[5, 6]].tolist() == [MATCHES, MATCHES]
    assert units.selective[[5, 6]].all()
    # A cell that has nothing to do with the image, and a constant unit.
    assert units.rung[[7, 8]].tolist() == [NONE, NONE]


def test_the_areas_of_planted_concepts_are_exact(planted_run):
    areas = planted_run.areas()
    assert areas["red"] == SQUARE / 1024
    assert areas["green"] == PLUS / 1024
    assert areas["pink"] == 0


def test_top_images_are_those_of_the_highest_activation(planted_run, planted):
    with trace(planted, "all") as maps:
        planted.synthesize(planted.sample(range(200), seed=0))
    peaks = maps["units"].flatten(2).amax(dim=2)
    top = planted_run.array("units", "top_indices").values
    for unit in range(9):
        held_out = range(calibration_size(200), 200)
        expected = sorted(held_out, key=lambda i: (-peaks[i, unit].item(), i))[:8]
        assert top[unit].tolist() == expected


def naive_scores(maps, planes, edges, indices, n_concepts, tail):
    """Both kinds of IoU by loops over images, units and concepts; arrays (threshold, unit, concept)."""
    n_calibration = calibration_size(len(indices))
    folds = {
        name: [row for row, index in enumerate(indices) if (index < n_calibration) == wanted]
        for name, wanted in (("calibration", True), ("evaluation", False))
    }
    inside = {
        name: reference.count_above(maps[rows], planes[rows], edges, n_concepts)
        for name, rows in folds.items()
    }
    area = {
        name: [planes[rows][:, 0].numel()]
        + [int((planes[rows] == c).any(dim=1).sum()) for c in range(1, n_concepts + 1)]
        for name, rows in folds.items()
    }
    found = np.empty((2, maps.shape[1], n_concepts))
    for unit in range(maps.shape[1]):
        for concept in range(1, n_concepts + 1):
            cal, n = inside["calibration"], area["calibration"]
            quality = [
                reference.information_quality_ratio(
                    cal[concept, unit, e], cal[0, unit, e], n[concept], n[0]
                )
                for e in range(edges.shape[1])
            ]
            best = next(e for e, q in enumerate(quality) if q >= max(quality) - 1e-12)
            for kind, edge in enumerate((quantile_edge(tail), best)):
                found[kind, unit, concept - 1] = reference.iou(
                    inside["evaluation"][concept, unit, edge],
                    inside["evaluation"][0, unit, edge],
                    area["evaluation"][concept],
                )
    return found


def all_maps_and_planes(generator, segmenter, config, grid):
    subject = Subject.of(generator, segmenter, config)
    blocks = [subject.block(number) for number in range(-(-config.n_samples // config.block))]
    planes = torch.cat([label_block(segmenter, block.images, grid) for block in blocks])
    maps = {layer: torch.cat([block.maps[layer] for block in blocks]) for layer in config.layers}
    return maps, planes


def assert_run_equals_naive_loop(run, generator, units):
    """Compare some units of each layer with the naive loop, thresholds and all."""
    segmenter = load_segmenter("colour")
    config = run.config
    maps, planes = all_maps_and_planes(generator, segmenter, config, generator.image_size)
    for layer, chosen in units.items():
        edges = torch.from_numpy(run.array(layer, "edges").values)[chosen]
        found = naive_scores(
            maps[layer][:, chosen], planes, edges, range(config.n_samples), 11, config.tail
        )
        stored = run.array(layer, "iou").values[:, chosen]
        for kind, threshold in enumerate(("quantile", "information")):
            np.testing.assert_array_equal(stored[kind], run.iou(layer, threshold=threshold)[chosen])
            np.testing.assert_array_equal(stored[kind], found[kind])


def test_the_pass_equals_a_naive_loop_on_the_planted_world(planted_run, planted):
    assert_run_equals_naive_loop(planted_run, planted, {"units": list(range(9))})


@pytest.mark.slow
def test_the_pass_equals_a_naive_loop_on_64_images_of_the_trained_dcgan(faces_dcgan, tmp_path):
    run = dissect(
        faces_dcgan, load_segmenter("colour"), out=tmp_path / "r", n_samples=64, progress=False
    )
    units = {"main.1": [0, 7, 300], "main.4": [1, 200], "main.7": [5, 100], "main.10": [0, 20, 63]}
    assert_run_equals_naive_loop(run, faces_dcgan, units)


def test_edges_are_quantiles_of_the_pilot_on_the_mask_grid(planted_run, planted):
    # 200 samples in the pilot and 65,536 values a unit: 328 of 1,024 pixels each.
    with trace(planted, "all") as maps:
        planted.synthesize(planted.sample(range(200), seed=0))
    values = resize(maps["units"], (32, 32))[:, 0].flatten()
    edges = planted_run.array("units", "edges").values[0]
    for fraction, edge in zip(tail_fractions(0.005), edges, strict=True):
        above = (values > edge).double().mean().item()
        assert above <= fraction * 1.3 + 1e-4


def arrays(run):
    return {
        (layer, name): run.array(layer, name).values
        for layer in run.layers
        for name in (
            "histogram",
            "edges",
            "top_values",
            "top_indices",
            "iou",
            "chance",
            "threshold",
        )
    }


def files(run):
    return {
        path.relative_to(run.path): path.read_bytes()
        for path in sorted(run.path.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_the_same_settings_give_the_same_bytes_and_another_seed_does_not(planted_run, tmp_path):
    again = dissect(PLANTED, "colour", out=tmp_path / "a", n_samples=200, progress=False)
    assert files(again) == files(planted_run)
    assert again.record["fingerprint"] == planted_run.record["fingerprint"]
    other = dissect(PLANTED, "colour", out=tmp_path / "b", n_samples=200, seed=1, progress=False)
    assert other.record["fingerprint"] != planted_run.record["fingerprint"]
    assert not np.array_equal(
        other.array("units", "histogram").values, planted_run.array("units", "histogram").values
    )


def test_another_batch_size_changes_counts_by_rounding_only(faces_dcgan, tmp_path):
    runs = [
        dissect(
            faces_dcgan, load_segmenter("colour"), out=tmp_path / str(block), layers=["main.7"],
            n_samples=48, block=block, pilot=48, progress=False,
        )
        for block in (16, 48)
    ]  # fmt: skip
    a, b = (run.array("main.7", "histogram").values for run in runs)
    moved = np.abs(a - b).sum() / 2
    assert moved <= 1e-4 * a.sum()
    np.testing.assert_array_equal(a[:, :, 0].sum(-1)[:, 0], b[:, :, 0].sum(-1)[:, 0])


def test_an_interrupted_pass_resumes_to_the_same_bytes(planted_run, tmp_path, monkeypatch):
    import dissect.counting.planes as module

    out = tmp_path / "r"
    labelled, blocks = module.label_block, []

    def stop_at_block_3(*arguments):
        blocks.append(arguments)
        if len(blocks) == 4:
            import signal

            signal.raise_signal(signal.SIGINT)
        return labelled(*arguments)

    # The pilot segments nothing, so the interrupt falls into the pass.
    monkeypatch.setattr(module, "label_block", stop_at_block_3)
    with pytest.raises(KeyboardInterrupt):
        dissect(PLANTED, "colour", out=out, n_samples=200, progress=False)
    monkeypatch.undo()
    assert not out.exists()
    from dissect.runs.partial import Workspace

    state = Workspace(out, planted_run.record["fingerprint"]).load()
    assert state.covered.ranges == ((0, 4),)
    resumed = dissect(PLANTED, "colour", out=out, n_samples=200, resume=True, progress=False)
    assert files(resumed) == files(planted_run)
    assert not out.with_name("r.partial").exists()


def test_every_sample_is_generated_and_segmented_once(planted_run, planted, tmp_path):
    segmenter, made, seen = load_segmenter("colour"), [], []

    class Watched(type(planted)):
        def sample(self, indices, **settings):
            made.append(tuple(indices))
            return super().sample(indices, **settings)

    class WatchedColour(type(segmenter)):
        def segment(self, images):
            seen.append(len(images))
            return super().segment(images)

    planted.__class__, kind = Watched, planted.__class__
    segmenter.__class__ = WatchedColour
    try:
        run = dissect(planted, segmenter, out=tmp_path / "r", n_samples=200, progress=False)
    finally:
        planted.__class__ = kind
    assert made == [tuple(range(n, min(n + 32, 200))) for n in range(0, 200, 32)]
    # Seven blocks, and the eight samples that trust changes in three ways.
    assert seen == [32, 8, 8, 8, 32, 32, 32, 32, 32, 8]
    assert files(run) == files(planted_run)


def test_a_run_without_strips_has_the_same_numbers_and_no_pictures_of_units(planted_run, tmp_path):
    run = dissect(
        PLANTED, "colour", out=tmp_path / "r", n_samples=200, progress=False, no_strips=True
    )
    strips = {name for name in files(planted_run) if name.name == "units.zip"}
    assert strips
    whole = {name: content for name, content in files(planted_run).items() if name not in strips}
    assert files(run) == whole
    assert not run.has_strips("units")
    assert run.record["fingerprint"] == planted_run.record["fingerprint"]


def test_a_finished_run_is_returned_as_it_is(planted_run):
    before = (planted_run.path / "run.json").read_bytes()
    again = dissect(PLANTED, "colour", out=planted_run.path, n_samples=200, progress=False)
    assert again.record == planted_run.record
    assert (planted_run.path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("generator", "segmenter", "error", "message"),
    [
        (
            "tests.broken:nan_images",
            "colour",
            GeneratorError,
            "NaN or infinity in images of sample 0",
        ),
        ("tests.broken:nan_maps", "colour", GeneratorError, "NaN or infinity in layer 'units'"),
        (
            "tests.broken:small_images",
            "colour",
            GeneratorError,
            r"shape \(32, 3, 16, 16\); expected",
        ),
        (
            PLANTED,
            "tests.broken:ids_out_of_vocabulary",
            SegmenterError,
            "plane 'colour' with id 41",
        ),
        (PLANTED, "tests.broken:negative_ids", SegmenterError, "plane 'colour' with id -"),
        (PLANTED, "tests.broken:float_planes", SegmenterError, "float32 planes"),
        (PLANTED, "tests.broken:missing_plane", SegmenterError, r"shape \(32, 32, 32\)"),
    ],
)
def test_models_that_break_their_protocol_are_told_and_leave_nothing(
    tmp_path, generator, segmenter, error, message
):
    with pytest.raises(error, match=message) as caught:
        dissect(generator, segmenter, out=tmp_path / "r", n_samples=64, progress=False)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_samples": 0}, ConfigError, "n_samples is 0; expected a whole number of at least 16"),
        ({"layers": ["unit"]}, LayerError, "did you mean 'units'"),
        ({"threshold": "best"}, ConfigError, "'information' or 'quantile'"),
        ({"tail": 1.5}, ConfigError, "tail is 1.5"),
        ({"seed": -1}, ConfigError, "seed is -1"),
        ({"min_iou": 1.0}, ConfigError, "min_iou is 1.0"),
        ({"grid": 0}, ConfigError, "grid is 0"),
        (
            {"grid": "fine"},
            ConfigError,
            "grid is 'fine'; expected a number of pixels, at least 1, or 'native'",
        ),
        ({"device": "abacus"}, ConfigError, "device is 'abacus', which torch does not have here"),
        (
            {"device": "mps"},
            ConfigError,
            "device is 'mps', which torch does not have here; expected cpu",
        ),
        ({"device": "meta"}, ConfigError, "device is 'meta'"),
        ({"device": 5}, ConfigError, "device is 5; expected a text"),
        ({"seed": 1.5}, ConfigError, "seed is 1.5; expected a whole number from 0 to 2"),
        ({"coactivation": "no"}, ConfigError, "coactivation is 'no'; expected True or False"),
        ({"grid": True}, ConfigError, "grid is True; expected a number of pixels"),
        ({"n_samples": "32"}, ConfigError, "n_samples is '32'; expected a whole number"),
        (
            {"samples": 50},
            ConfigError,
            r"samples is not a setting of dissect\(\); did you mean 'n_samples'\?",
        ),
        ({"memry": "4GB"}, ConfigError, "did you mean 'memory'"),
        ({"layers": 5}, ConfigError, "layers is 5; expected names of layers, or 'all'"),
        ({"truncation": -3}, ConfigError, "truncation is -3; expected a number from -2 to 2"),
        ({"save_every": None}, ConfigError, "save_every is None"),
        ({"label": 2}, GeneratorError, "label 2 was given for planted"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line_and_leaves_nothing(tmp_path, settings, error, message):
    with pytest.raises(error, match=message) as caught:
        dissect(PLANTED, "colour", out=tmp_path / "r", progress=False, **settings)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_told_before_any_model_is_looked_for(tmp_path):
    with pytest.raises(ConfigError, match="tail is 2; expected"):
        dissect("nowhere.pth", "nothing", out=tmp_path / "r", tail=2, progress=False)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ((5, "colour"), "generator is 5; expected a generator, or how load_generator finds one"),
        ((PLANTED, None), "segmenter is None; expected a segmenter, or how load_segmenter"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(tmp_path, models, message):
    with pytest.raises(ConfigError, match=message):
        dissect(*models, out=tmp_path / "r", progress=False)


def test_a_generator_may_be_given_as_a_path(tmp_path):
    with pytest.raises(GeneratorError, match="is not a zoo name, a file"):
        dissect(tmp_path / "none.pth", "colour", out=tmp_path / "r", progress=False)


def test_a_coarser_mask_grid_takes_the_pixel_at_each_centre(planted):
    images = planted.synthesize(planted.sample([0], seed=0))
    segmenter = load_segmenter("colour")
    whole = label_block(segmenter, images, 32)
    coarse = label_block(segmenter, images, 16)
    assert torch.equal(coarse, whole[:, :, 1::2, 1::2])


def test_native_comparison_is_the_plain_one_where_maps_have_the_size_of_the_masks(
    planted_run, tmp_path
):
    native = dissect(
        PLANTED, "colour", out=tmp_path / "r", n_samples=200, grid="native", progress=False
    )
    found, expected = arrays(native), arrays(planted_run)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, err_msg=str(key))
    assert native.record["coverage"]["grid"] == 32


@pytest.mark.slow
def test_a_native_pass_equals_a_loop_over_nearest_maps(faces_dcgan, tmp_path):
    run = dissect(
        faces_dcgan, load_segmenter("colour"), out=tmp_path / "r", layers=["main.1", "main.4"],
        n_samples=24, grid="native", progress=False,
    )  # fmt: skip
    maps, planes = all_maps_and_planes(faces_dcgan, load_segmenter("colour"), run.config, 64)
    chosen = [0, 7, 200]
    for layer in run.layers:
        edges = torch.from_numpy(run.array(layer, "edges").values)[chosen]
        expected = reference.count_above(
            maps[layer][8:, chosen], planes[8:], edges, 11, nearest=True
        )
        histogram = run.array(layer, "histogram").values[1][:, chosen]
        np.testing.assert_array_equal(above(histogram), expected)
        # With 24 samples in the pilot and 64 × 64 masks, every value is an edge's candidate; edges
        # lie less than a step above one.
        values = resize(maps[layer][:, chosen], (64, 64), nearest=True).transpose(0, 1)
        for own, found in zip(values.flatten(1).numpy(), edges.numpy(), strict=True):
            distances = found[:, None] - own
            below = np.where(distances >= 0, distances, np.inf).min(axis=1)
            assert (below < (found[-1] - found[0]) * 2.0**-14).all()


@pytest.mark.parametrize(("image_size", "grid"), [(64, 64), (128, 128), (256, 128), (1024, 128)])
def test_the_mask_grid_is_the_image_up_to_128_unless_asked_for(image_size, grid):
    generator = SimpleNamespace(image_size=image_size)
    assert mask_grid(generator, RunConfig("a", "b", ("x",))) == grid
    assert mask_grid(generator, RunConfig("a", "b", ("x",), grid=256)) == 256


def test_a_config_survives_json():
    config = RunConfig("a", "b", ("x", "y"), seed=2**63)
    assert RunConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match="differ from those known here in: colour"):
        RunConfig.from_json(config.to_json() | {"colour": 1})


def test_open_run_is_what_dissect_returns(planted_run):
    assert open_run(planted_run.path).summary() == planted_run.summary()
