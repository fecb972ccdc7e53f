"""Units of two generators side by side, against numpy's own correlation."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from dissect import dissect
from dissect.counting.matching import match_units
from dissect.generators.shapes import LayerInfo
from dissect.generators.z_only import ZOnlyGenerator
from dissect.runs.compare import LayerRow, compare_runs
from segmenters.base import hash_tensors

N_SAMPLES = 8


class _Drawing(nn.Module):
    """Maps of four units that a 1 × 1 convolution makes of z; the image is the first three."""

    def __init__(self, mixing):
        super().__init__()
        self.units = nn.Conv2d(5, 4, 1, bias=False)
        self.units.weight.data[:, :, 0, 0] = torch.tensor(mixing)

    def forward(self, z):
        return torch.tanh(self.units(z.unflatten(1, (5, 8, 8)))[:, :3])


class _Generator(ZOnlyGenerator):
    def __init__(self, name, mixing):
        module = _Drawing(mixing).eval().requires_grad_(False)
        super().__init__(
            module,
            name=name,
            z_shape=(320,),
            fingerprint=hash_tensors(module.state_dict(), name),
        )
        self.image_size, self.channels = 8, 3
        self.layers = {"units": LayerInfo(4, 8, 8, "units")}

    def synthesize(self, latent, *, noise="const"):
        return self.module(self._z(latent))


# In the second generator unit 0 is 1 of the first, 1 is most of 0, 2 most of 2, and 3 too little of 3.
ONE = np.eye(4, 5).tolist()
OTHER = [[0, 1, 0, 0, 0], [0.8, 0, 0.6, 0, 0], [0.6, 0, 0.8, 0, 0], [0, 0, 0, 0.4, 0.917]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matching")
    generators = [_Generator("one", ONE), _Generator("other", OTHER)]
    runs = [
        dissect(one, "colour", out=folder / one.name, n_samples=16, progress=False)
        for one in generators
    ]
    return runs, generators


def maps_of(generator, indices):
    """Values of each unit over all cells: (unit, sample, cell)."""
    z = generator.sample(indices, seed=0).data
    return generator.module.units(z.unflatten(1, (5, 8, 8))).flatten(2).transpose(0, 1).numpy()


def test_correlations_are_numpys_and_chance_is_that_with_the_other_sample_of_a_pair(pair):
    runs, generators = pair
    layers = compare_runs(runs).layers
    found = match_units(runs, generators, layers, position=1, n_samples=N_SAMPLES)
    one, other = (maps_of(generator, list(range(N_SAMPLES))) for generator in generators)
    swapped = other.reshape(4, N_SAMPLES // 2, 2, -1)[:, :, ::-1].reshape(other.shape)
    correlation, chance = (
        np.corrcoef(one.reshape(4, -1), each.reshape(4, -1))[:4, 4:] for each in (other, swapped)
    )
    best = found.best.set_index("unit")
    assert list(best.index) == [0, 1, 2, 3]
    assert best.other_unit.tolist() == correlation.argmax(axis=1).tolist()
    rows = np.arange(4)
    assert best.correlation.to_numpy() == pytest.approx(correlation.max(axis=1), abs=1e-6)
    assert best.chance.to_numpy() == pytest.approx(
        chance[rows, correlation.argmax(axis=1)], abs=1e-6
    )
    assert found.n_other == 4


def test_only_units_that_are_each_others_best_and_alike_enough_are_matched(pair):
    runs, generators = pair
    found = match_units(
        runs, generators, compare_runs(runs).layers, position=1, n_samples=N_SAMPLES
    )
    partners = zip(found.matched.unit, found.matched.other_unit, strict=True)
    assert set(partners) == {(0, 1), (1, 0), (2, 2)}
    assert found.best.other_unit[3] == 3  # each other's best, but not alike enough
    twice = [generators[0], _Generator("twice", [OTHER[0], OTHER[1], OTHER[1], OTHER[3]])]
    again = match_units(runs, twice, compare_runs(runs).layers, position=1, n_samples=N_SAMPLES)
    best = again.best.set_index("unit")
    assert best.other_unit[0] == best.other_unit[2] == 1  # both have the same partner
    assert best.matched.tolist() == [True, True, False, False]


def test_maps_of_other_sizes_are_not_compared(pair):
    runs, generators = pair
    (row,) = compare_runs(runs).layers
    other = tuple(dataclasses.replace(one, height=4, width=4) for one in row.cells[1])
    apart = LayerRow(row.title, (row.cells[0], other))
    found = match_units(runs, generators, [apart], position=1, n_samples=N_SAMPLES)
    assert len(found.best) == found.n_other == 0
