import numpy as np
import pytest

from dissect import LayerError, RunConfig, RunError, dissect, trace
from dissect.counting.driver import start_pass
from dissect.counting.subject import Subject
from dissect.runs.partial import Workspace
from dissect.statistics.units.coactivation import Coactivation
from segmenters import load_segmenter

PLANTED = "dissect.worlds.planted:generator"
N = 48


@pytest.fixture(scope="module")
def made(planted):
    """Maps and masks of the samples of ``run``."""
    with trace(planted, "all") as maps:
        images = planted.synthesize(planted.sample(range(N), seed=0))
    return maps["units"], load_segmenter("colour").segment(images)[:, 0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "r"
    return dissect(PLANTED, "colour", out=out, n_samples=N, coactivation=True, progress=False)


def evaluation(run):
    return slice(run.record["coverage"]["calibration"], N)


def test_areas_and_co_occurrence_are_those_of_the_masks(run, made):
    masks = made[1][evaluation(run)]
    areas, together = run.areas(), run.co_occurrence()
    assert together.attrs["images"] == len(masks)
    for a in ("red", "purple", "black", "pink"):
        mine = masks == run.vocabulary[a].id
        assert areas[a] == mine.double().mean().item()
        for b in ("green", "purple"):
            both = mine.flatten(1).any(1) & (masks == run.vocabulary[b].id).flatten(1).any(1)
            assert int(together.sel(concept=a, other=b)) == int(both.sum())
    # The ring is drawn in one sample of eight.
    rare = int(together.sel(concept="purple", other="purple"))
    assert 0 < rare < len(masks)


def test_activations_are_shares_of_a_concepts_pixels_between_two_edges(run, made):
    maps, masks = made[0][evaluation(run)], made[1][evaluation(run)]
    found = run.activations("units", 0)
    assert found.sizes == {"concept": 11, "bin": 49}
    assert found.above[0] == -np.inf
    assert found.up_to[-1] == np.inf
    np.testing.assert_array_equal(found.above[1:], found.up_to[:-1])
    values = maps[:, 0][masks == run.vocabulary["red"].id].numpy()
    for k in (0, 30, 48):
        low, high = float(found.above[k]), float(found.up_to[k])
        share = np.mean((values > low) & (values <= high))
        np.testing.assert_allclose(found.share.sel(concept="red")[k], share, atol=1e-12)
    np.testing.assert_allclose(found.all_pixels.sum(), 1)
    assert np.isnan(found.share.sel(concept="pink")).all()


def test_correlations_with_concepts_are_near_the_exact_ones(run, made):
    maps, masks = made[0][evaluation(run)], made[1][evaluation(run)]
    found = run.correlation("units")
    assert found.dims == ("unit", "concept")
    for unit, name in ((0, "red"), (5, "red"), (1, "green"), (7, "blue")):
        mask = (masks == run.vocabulary[name].id).double().flatten().numpy()
        exact = np.corrcoef(maps[:, unit].double().flatten().numpy(), mask)[0, 1]
        assert float(found.sel(concept=name)[unit]) == pytest.approx(exact, abs=0.02)
    assert np.isnan(found[8]).all()


def test_coactivation_is_the_correlation_of_means_over_all_images(run, made):
    means = made[0][:, :8].double().mean(dim=(2, 3)).numpy()
    found = run.coactivation("units")
    # Means of shapes that cover 3 % of the image: a thousand steps of the scale.
    np.testing.assert_allclose(found[:8, :8], np.corrcoef(means.T), atol=1e-3)
    assert np.isnan(found[8]).all()
    assert found.attrs["images"] == N
    assert found.saturated.values.tolist() == [0] * 9
    # The left half of the square goes with the square.
    assert float(found[0, 5]) > 0.99


def test_an_unfinished_pass_keeps_what_it_knows_of_concepts_and_units(planted, tmp_path):
    config = RunConfig("planted", "colour", ("units",), n_samples=16, coactivation=True)
    subject = Subject.of(planted, load_segmenter("colour"), config)
    state = start_pass(subject, progress=False)
    state.together[2, 3] = 7
    state.counts["units"].statistic(Coactivation).products[1, 2] = -5
    workspace = Workspace(tmp_path / "r", "key")
    with workspace.claim(resume=False):
        workspace.save(state)
        again = workspace.load()
    assert again.together.tolist() == state.together.tolist()
    for name, array in state.counts["units"].to_arrays().items():
        assert again.counts["units"].to_arrays()[name].tobytes() == array.tobytes()


def test_what_is_not_there_is_told(run, planted_run):
    with pytest.raises(RunError, match="holds no co-activation; expected a run made with it"):
        planted_run.coactivation("units")
    with pytest.raises(LayerError, match="unit 9 is not in units; expected 0 to 8"):
        run.activations("units", 9)
    with pytest.raises(LayerError, match="layer 'nope' is not in"):
        run.correlation("nope")
