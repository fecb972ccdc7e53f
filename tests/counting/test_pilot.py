"""The pilot: values at chosen pixels against torch's own resizing, and the blocks that it keeps."""

import pytest
import torch
from torch.nn import functional

from dissect.counting.pilot import KeptBlocks, PilotValues, values_per_image
from dissect.counting.subject import Block
from dissect.statistics.edges import (
    VALUES_PER_UNIT,
    edges_from_values,
    pilot_pixels,
    tail_fractions,
)

UNITS, GRID, N_PILOT, SEED = 70, 24, 5, 3


def blocks():
    """Six samples in two blocks; the last one lies behind the pilot."""
    maps = torch.randn(6, UNITS, 7, 7)
    images = torch.zeros(6, 3, 8, 8)
    return [
        Block(list(range(a, a + 3)), images[a : a + 3], {"layer": maps[a : a + 3]}) for a in (0, 3)
    ]


@pytest.fixture
def few_values(monkeypatch):
    """So few that not every pixel is looked at."""
    monkeypatch.setattr("dissect.counting.pilot.VALUES_PER_UNIT", 998)


@pytest.mark.parametrize("nearest", [False, True])
def test_a_units_edges_are_those_of_its_resized_maps_at_the_chosen_pixels(nearest, few_values):
    given = blocks()
    found = []
    for order in (given, given[::-1]):
        values = PilotValues(
            {"layer": UNITS}, grid=GRID, n_pilot=N_PILOT, seed=SEED, nearest=nearest
        )
        for block in order:
            values.add(block)
        found.append(values.edges(0.005)["layer"])
    mode = {"mode": "nearest-exact"} if nearest else {"mode": "bilinear", "align_corners": False}
    expected = []
    for block in given:
        resized = functional.interpolate(block.maps["layer"], (GRID, GRID), **mode).flatten(2)
        for row, index in enumerate(block.indices):
            pixels = pilot_pixels(index, seed=SEED, n_pixels=GRID**2, per_image=200)
            if index < N_PILOT:
                expected.append(resized[row][:, pixels])
    reference = edges_from_values(torch.cat(expected, dim=1).numpy(), tail_fractions(0.005))
    assert torch.equal(found[0], found[1])
    assert torch.allclose(found[0], reference, rtol=0, atol=1e-3)  # edges lie on a lattice


@pytest.mark.parametrize(("grid", "n_pilot"), [(128, 3), (128, 64), (16, 64), (128, 1000)])
def test_no_more_pixels_are_looked_at_than_give_enough_values(grid, n_pilot):
    n = values_per_image(grid, n_pilot)
    assert n <= grid**2
    assert n == grid**2 or n * n_pilot >= VALUES_PER_UNIT > (n - 1) * n_pilot


def test_room_in_memory_is_used_up_by_the_blocks_that_are_kept():
    first, second = blocks()
    size = first.images.nbytes + first.maps["layer"].nbytes
    kept = KeptBlocks(2 * size)
    for number, block in enumerate([first, second, first]):
        kept.offer(number, block)
    assert kept.take(0) is first
    assert kept.take(1) is second
    assert kept.take(2) is None


def test_room_on_disk_is_used_up_by_the_blocks_that_wait_there(monkeypatch, tmp_path):
    first, second = blocks()
    size = first.images.nbytes + first.maps["layer"].nbytes
    monkeypatch.setattr("dissect.counting.pilot.KEPT_DISK_BYTES", 2 * size)
    with KeptBlocks(0, folder=tmp_path) as kept:
        for number, block in enumerate([first, second, first]):
            kept.offer(number, block)
        assert torch.equal(kept.take(1).maps["layer"], second.maps["layer"])
        assert torch.equal(kept.take(0).maps["layer"], first.maps["layer"])
        assert kept.take(2) is None
