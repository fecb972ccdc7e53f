import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.statistics.codes import encode
from dissect.statistics.groups import GroupedCodes
from dissect.statistics.native import tally_native
from dissect.statistics.reference import count_above
from dissect.statistics.resize import cells, resize, values_at
from dissect.statistics.scores import above
from tests.statistics.test_counts import fold, random_case

# Maps coarser and finer than the 9 × 8 grid, and such as do not divide it.
SIZES = [(1, 1), (2, 3), (3, 4), (7, 5), (9, 8), (18, 16), (11, 31)]


def tallied(maps, planes, edges, **options):
    codes, members = encode(planes)
    return tally_native(
        maps, GroupedCodes.of(codes[None], n_codes=len(members)), edges, **options
    ), members


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("units", [1, 5, 130])
def test_the_kernel_counts_what_the_reference_counts_on_nearest_maps_bit_by_bit(size, units):
    maps, planes, edges, n_concepts = random_case(1, size=size, units=units, images=3)
    table, members = tallied(maps, planes, edges)
    assert table.dtype == np.int32
    assert (table.sum(axis=(1, 3)) == planes[:, 0].numel()).all()
    expected = count_above(maps, planes, edges, n_concepts, nearest=True)
    np.testing.assert_array_equal(above(fold(table[0], members, n_concepts)), expected)


def test_every_set_of_labels_is_counted_for_itself():
    maps, planes, edges, n_concepts = random_case(4, size=(4, 3))
    codes, members = encode(planes)
    both = torch.stack([codes, codes.roll(1, dims=0)])
    table = tally_native(maps, GroupedCodes.of(both, n_codes=len(members)), edges)
    for position, masks in enumerate((planes, planes.roll(1, dims=0))):
        found = above(fold(table[position], members, n_concepts))
        expected = count_above(maps, masks, edges, n_concepts, nearest=True)
        np.testing.assert_array_equal(found, expected)


def test_the_native_kernel_gives_the_same_counts_for_any_number_of_threads():
    maps, planes, edges, _ = random_case(2, units=130)
    one, three = (tallied(maps, planes, edges, n_threads=n)[0] for n in (1, 3))
    np.testing.assert_array_equal(one, three)


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=50)
def test_the_cell_of_a_pixel_is_where_torch_finds_its_nearest_value(size, target):
    exact = np.array([int((2 * y + 1) * size / (2 * target) + 1e-9) for y in range(target)])
    np.testing.assert_array_equal(cells(size, target), exact)
    line = torch.arange(size, dtype=torch.float32)[None, None]
    # Elsewhere a centre may lie on a border, and torch, which rounds in float32, on either side.
    if target % size == 0 or size % target == 0:
        nearest = torch.nn.functional.interpolate(line, size=target, mode="nearest-exact")
        np.testing.assert_array_equal(nearest[0, 0].long().numpy(), cells(size, target))


@pytest.mark.parametrize("size", SIZES)
def test_nearest_values_at_some_pixels_are_those_of_the_whole_map(size):
    maps = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    pixels = torch.tensor([0, 5, 17, 100, 12 * 11 - 1])
    whole = resize(maps[None], (12, 11), nearest=True)[0].flatten(1)
    assert torch.equal(values_at(maps, pixels, (12, 11), nearest=True), whole[:, pixels])
