"""Maps that know something, but not what a person would see: at most 5 % match, none is named."""

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from dissect.config import RunConfig
from dissect.counting.pilot import N_EDGES
from dissect.runs.coverage import Coverage
from dissect.runs.results import layer_results
from dissect.runs.state import PassState
from dissect.statistics import BlockLabels, Counter, LayerCounts
from dissect.statistics.edges import edges_from_values, quantile_edge, tail_fractions
from dissect.statistics.ladder import MATCHES, NAMED
from dissect.statistics.presence import count_overlap
from dissect.statistics.resize import resize
from dissect.statistics.units import Setup, empty_statistics
from dissect.worlds import render_scenes
from segmenters.scenes_vocabulary import SCENES_VOCABULARY

N, SIZE, MAP = 300, 32, 8
N_CONCEPTS = len(SCENES_VOCABULARY)


@pytest.fixture(scope="module")
def planes():
    return render_scenes(range(N), seed=3, size=SIZE).planes


@pytest.fixture(scope="module")
def shares(planes):
    """How much of each cell each concept covers: (image, concept, y, x)."""
    masks = torch.stack([(planes == c + 1).any(dim=1) for c in range(N_CONCEPTS)], dim=1)
    return avg_pool2d(masks.float(), SIZE // MAP)


def results(maps, planes):
    """What a run would say of these maps."""
    config = RunConfig("maps", "scenes", ("layer",), n_samples=N)
    n_units = maps.shape[1]
    values = resize(maps[:64], (SIZE, SIZE)).permute(1, 0, 2, 3).reshape(n_units, -1)
    edges = edges_from_values(values.numpy().copy(), tail_fractions(config.tail))
    setup = Setup(n_units, N_CONCEPTS, top_images=8, coactivation=False)
    counts = LayerCounts.empty(
        n_concepts=N_CONCEPTS, n_units=n_units, n_edges=N_EDGES,
        statistics=empty_statistics(setup),
    )  # fmt: skip
    counter = Counter(counts, edges, quantile_edge=quantile_edge(config.tail))
    overlap = np.zeros((N_CONCEPTS, N_CONCEPTS), np.int64)
    for start in range(0, N, 32):
        block = list(range(start, min(start + 32, N)))
        labels = BlockLabels.prepare(planes[block], block, n_concepts=N_CONCEPTS, n_samples=N)
        counter.add(maps[block], labels)
        overlap += count_overlap(labels, N_CONCEPTS)
    covered = Coverage.of(range(-(-N // config.block)))
    state = PassState({"layer": edges}, {"layer": counts}, overlap, overlap, covered=covered)
    return layer_results(state, config, SCENES_VOCABULARY)["layer"]


def noise(n_units, seed=0):
    return torch.randn(N, n_units, MAP, MAP, generator=torch.Generator().manual_seed(seed))


def informed(shares, seed=0):
    """Units that follow mixtures of a few concepts, with noise: as those of a trained layer."""
    draw = torch.Generator().manual_seed(seed)
    weights = torch.randn(64, N_CONCEPTS, generator=draw)
    weights *= torch.rand(64, N_CONCEPTS, generator=draw) < 0.12
    return torch.einsum("uc,bcyx->buyx", weights, shares) + 0.2 * noise(64, seed)


def means(shares):
    return informed(shares).mean(dim=(2, 3), keepdim=True).expand(-1, -1, MAP, MAP)


def another_latent(shares):
    return informed(shares).roll(37, dims=0)


def smooth_fields(_):
    coarse = noise(64)[:, :, :3, :3]
    return interpolate(coarse, size=(MAP, MAP), mode="bicubic")


def vertical_gradients(_):
    rows = torch.linspace(-1, 1, MAP)[:, None] * torch.linspace(-2, 2, 64)[:, None, None]
    return rows + 0.3 * noise(64).mean(dim=(2, 3), keepdim=True)


def known_areas(shares):
    """Constant maps that know how much of a concept there is, as well as can be."""
    areas = shares.mean(dim=(2, 3))
    return areas.repeat(1, 3)[:, :64, None, None].expand(-1, -1, MAP, MAP)


def constant(maps):
    return maps.contiguous().float()


def test_units_that_follow_concepts_match_and_some_are_named(shares, planes):
    """The maps whose means and whose places are tried below do know something."""
    found = results(constant(informed(shares)), planes)
    assert (found.rung >= MATCHES).mean() > 0.5
    assert (found.rung >= NAMED).sum() >= 3


@pytest.mark.parametrize(
    "maps", [means, another_latent, smooth_fields, vertical_gradients, known_areas]
)
def test_of_maps_that_know_no_place_in_the_image_hardly_any_matches_and_none_is_named(
    maps, shares, planes
):
    found = results(constant(maps(shares)), planes)
    assert (found.rung >= MATCHES).mean() <= 0.05
    assert not (found.rung >= NAMED).any()


@pytest.mark.parametrize("maps", [means, known_areas])
def test_constant_maps_are_exactly_what_areas_give(maps, shares, planes):
    """Where a map is constant, pixels above and of the concept are their product over the image."""
    scores = results(constant(maps(shares)), planes).scores
    np.testing.assert_allclose(scores.iou, scores.chance_areas, rtol=1e-12)


def test_without_the_null_of_areas_constant_maps_would_match(shares, planes):
    """So the test above can fail: other images' masks alone let many of them through."""
    scores = results(constant(known_areas(shares)), planes).scores
    beyond = (scores.iou - scores.chance_shuffled)[1].max(axis=1)
    assert (beyond > 0.05).mean() > 0.1
