"""Samples that give NaN are failed on or skipped; where memory runs out batches are halved."""

import numpy as np
import pytest
import torch

from dissect import ConfigError, GeneratorError, dissect
from dissect.counting.batches import make_in_batches
from dissect.errors import RunError
from dissect.statistics.folds import clusters, evaluation_clusters, evaluation_size
from dissect.terminal import describe_run
from dissect.worlds.planted import PlantedGenerator
from segmenters import load_segmenter
from tests.counting.sharing_models import NAN, NAN_SAMPLES, SHORT, SOME_NAN
from tests.counting.test_workers import N_SAMPLES, files, make

SETTINGS = {"generator": SOME_NAN, "pilot": 64, "on_nan": "skip"}


@pytest.fixture(scope="module")
def skipping(tmp_path_factory):
    return make(tmp_path_factory.mktemp("runs") / "skipping", **SETTINGS)


def drawn():
    """Maps and masks of all samples by the generator without the fault."""
    generator = PlantedGenerator()
    latent = generator.sample(range(N_SAMPLES), seed=0)
    maps = generator.module.draw(latent.data)
    planes = load_segmenter("colour").segment(generator.synthesize(latent))
    return maps.detach().numpy(), planes.numpy()


def test_nan_ends_the_run_unless_it_is_skipped(tmp_path):
    with pytest.raises(GeneratorError, match=r"of sample 3 of seed 0.*--on-nan skip"):
        make(tmp_path / "r", generator=SOME_NAN)
    with pytest.raises(ConfigError, match="on_nan is 'drop'"):
        make(tmp_path / "r", on_nan="drop")
    with pytest.raises(GeneratorError, match="every sample of the pilot"):
        make(tmp_path / "r", generator=NAN, on_nan="skip")
    assert list(tmp_path.iterdir()) == []


def test_what_is_counted_is_the_other_samples(skipping):
    maps, planes = drawn()
    kept = [index for index in range(48, N_SAMPLES) if index not in NAN_SAMPLES]
    chosen = [index for index in range(48) if index not in NAN_SAMPLES]
    edges = skipping.array("units", "edges").values
    histogram = skipping.array("units", "histogram")
    for fold, samples in (("calibration", chosen), ("evaluation", kept)):
        for row, where in (("(all pixels)", None), ("red", 1)):
            counted = histogram.sel(set=fold, row=row).values
            for unit in range(8):
                values = maps[samples, unit]
                if where is not None:
                    name = skipping.vocabulary["red"].id
                    values = values[(planes[samples] == name).any(axis=1)]
                bins = (values.reshape(-1, 1) > edges[unit]).sum(axis=1)
                assert (np.bincount(bins, minlength=edges.shape[1] + 1) == counted[unit]).all()


def test_edges_come_of_the_samples_of_the_pilot_that_are_finite(skipping):
    maps, _ = drawn()
    pilot = [index for index in range(64) if index not in NAN_SAMPLES]
    edges = skipping.array("units", "edges").values
    for unit in range(8):
        values = maps[pilot, unit]
        above = (values.reshape(-1, 1) > edges[unit]).mean(axis=0)
        assert above[0] <= 0.9
        assert above[-1] <= 1e-4


def test_a_run_says_what_was_skipped(skipping):
    coverage = skipping.record["coverage"]
    assert coverage["skipped"] == [[3, 4], [57, 58], [96, 104], [151, 152]]
    assert (coverage["calibration"], coverage["evaluation"]) == (47, 142)
    (sentence,) = skipping.summary()["left_out"]
    assert "11 of 200 samples (3, 57, 96 to 103, 151) were skipped" in sentence
    assert sentence in describe_run(skipping)
    shown = skipping.array("units", "top_indices").values
    assert not set(shown.ravel().tolist()) & set(NAN_SAMPLES)


def test_the_report_and_the_dashboards_card_say_it_too(skipping, tmp_path):
    from dashboard.components.runs import run_list
    from dashboard.store import Entry
    from reports import build_report

    (sentence,) = skipping.summary()["left_out"]
    assert sentence in build_report(skipping, out=tmp_path / "report").read_text()
    cards = run_list([Entry("a", skipping.path, skipping.record)], {}, {"a": 1})
    assert sentence in str(cards)


def test_workers_and_passes_skip_the_same_samples(skipping, tmp_path):
    assert files(make(tmp_path / "r", workers=2, **SETTINGS)) == files(skipping)


def test_a_layer_of_another_pass_decides_too(tmp_path):
    from dissect.config import RunConfig
    from dissect.counting.subject import Subject
    from tests.counting.sharing_models import some_nan

    generator = some_nan()
    config = RunConfig(SOME_NAN, "colour", ("units", "units@rotation:1"), on_nan="skip")
    subject = Subject.of(generator, load_segmenter("colour"), config)
    part = subject.only(["units@rotation:1"])
    assert part.watched == ("units",)
    assert part.block(0).skipped == subject.block(0).skipped == (3,)
    indices, images = subject.images(3)
    assert indices == [*range(104, 128)]
    assert len(images) == 24


def test_clusters_and_the_evaluation_fold_without_some_samples():
    assert list(clusters([0, 1, 9, 10, 11, 24])) == [
        (0, slice(0, 2)), (1, slice(2, 5)), (3, slice(5, 6)),
    ]  # fmt: skip
    # 20 clusters, of which 5 are the calibration fold; the last has four samples.
    assert (evaluation_size(156), evaluation_clusters(156)) == (116, 15)
    left_out = [0, 1, 48, *range(152, 156)]
    assert (evaluation_size(156, left_out), evaluation_clusters(156, left_out)) == (111, 14)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_halved_where_memory_runs_out(planted_run, tmp_path, capfd, workers):
    run = make(tmp_path / "r", generator=SHORT, workers=workers, pilot=32)
    whole = make(tmp_path / "whole", pilot=32)
    # Nothing rounds in this generator, so halves are the same bits.
    assert files(run) == files(whole)
    assert run.record["coverage"]["halved"] == [[0, 6]]  # the last block has eight images
    assert "in smaller batches" in run.summary()["left_out"][0]
    told = capfd.readouterr().err
    # Each process says it once; the one that gives the orders counts the block of both folds.
    assert 1 <= told.count("going on with 8") <= (workers + 1 if workers > 1 else 1)
    assert "halved" not in whole.record["coverage"]


def test_halving_ends_at_one_image_and_lets_other_errors_through():
    def make_some(rows):
        if rows.stop - rows.start > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 TB")
        return list(range(rows.start, rows.stop))

    assert make_in_batches(3, 8, make_some, "trying") == ([[0], [1], [2]], 1)

    def never(rows):
        raise MemoryError

    with pytest.raises(RunError, match="one image at a time"):
        make_in_batches(4, 4, never, "trying")

    def wrong(rows):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        make_in_batches(4, 4, wrong, "trying")


def test_a_segmenter_out_of_memory_is_given_fewer_images(planted, tmp_path, capfd):
    segmenter = load_segmenter("colour")
    segment = segmenter.segment

    def short(images):
        if len(images) > 20:
            raise torch.OutOfMemoryError
        return segment(images)

    segmenter.segment = short
    run = dissect(planted, segmenter, out=tmp_path / "r", n_samples=64, pilot=32, progress=False)
    assert run.record["coverage"]["halved"] == [[0, 2]]
    assert "segmenting 32 images at a time; going on with 16" in capfd.readouterr().err
