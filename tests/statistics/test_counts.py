import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.statistics.codes import encode
from dissect.statistics.kernel import tally
from dissect.statistics.reference import count_above
from dissect.statistics.resize import resize, sample, taps, values_at
from dissect.statistics.scores import above

SIZES = [(1, 1), (4, 4), (7, 5), (33, 17), (48, 48)]


def random_case(seed, *, size=(6, 5), grid=(9, 8), units=5, images=6, concepts=(2, 3), edges=7):
    """Maps with repeated values, planes, and edges that some values hit exactly."""
    draw = torch.Generator().manual_seed(seed)
    maps = torch.randn(images, units, *size, generator=draw).round(decimals=1)
    planes, first = [], 0
    for n in concepts:
        plane = torch.randint(0, n + 1, (images, *grid), generator=draw)
        planes.append(torch.where(plane > 0, plane + first, 0))
        first += n
    chosen = torch.randn(units, edges, generator=draw).round(decimals=1).sort(dim=1).values
    return maps, torch.stack(planes, dim=1), chosen, first


def fold(table, members, n_concepts):
    """Rows of codes added up to rows of concepts, the slow way."""
    rows = np.zeros((n_concepts + 1, *table.shape[1:]), np.int64)
    for code, concepts in enumerate(members.tolist()):
        for row in {0, *concepts}:
            rows[row] += table[code]
    return rows


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("grid", [(8, 8), (33, 17), (1, 1)])
def test_resizing_agrees_with_torch(size, grid):
    maps = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(maps, size=grid, mode="bilinear")
    # torch computes positions in float32, here they are exact: apart by about 1e-5 of a pixel.
    torch.testing.assert_close(resize(maps, grid), expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_values_at_some_pixels_are_those_of_the_whole_map_bit_by_bit(size):
    maps = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    pixels = torch.tensor([0, 5, 17, 100, 12 * 11 - 1])
    whole = resize(maps[None], (12, 11))[0].flatten(1)
    assert torch.equal(values_at(maps, pixels, (12, 11)), whole[:, pixels])
    compiled = np.empty((len(maps), len(pixels)), np.float32)
    places = [taps(size, target) for size, target in zip(maps.shape[1:], (12, 11), strict=True)]
    sample(maps.numpy(), pixels.numpy(), 11, *places, compiled)
    assert np.array_equal(compiled, whole[:, pixels].numpy())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("units", [1, 5, 130])
def test_the_kernel_counts_what_the_reference_counts_bit_by_bit(size, units):
    maps, planes, edges, n_concepts = random_case(1, size=size, units=units, images=3)
    codes, members = encode(planes)
    table = tally(maps, codes[None].contiguous(), edges, n_codes=len(members))
    found = above(fold(table[0], members, n_concepts))
    np.testing.assert_array_equal(found, count_above(maps, planes, edges, n_concepts))


def test_the_kernel_gives_the_same_counts_for_any_number_of_threads():
    maps, planes, edges, _ = random_case(2, units=130)
    codes, members = encode(planes)
    one, three = (
        tally(maps, codes[None].contiguous(), edges, n_codes=len(members), n_threads=n)
        for n in (1, 3)
    )
    np.testing.assert_array_equal(one, three)


def test_a_value_equal_to_its_threshold_is_not_above_it():
    maps = torch.full((1, 1, 2, 2), 0.5)
    codes = torch.zeros(1, 1, 2, 2, dtype=torch.int32)
    table = tally(maps, codes, torch.tensor([[0.4, 0.5, 0.5, 0.6]]), n_codes=1)
    assert table[0, 0, 0].tolist() == [0, 4, 0, 0, 0]


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_codes_stand_for_the_concepts_of_their_pixels(seed, n_planes):
    draw = torch.Generator().manual_seed(seed)
    planes = torch.randint(0, 200, (2, n_planes, 4, 5), generator=draw)
    codes, members = encode(planes)
    assert np.array_equal(members[codes.numpy()], planes.permute(0, 2, 3, 1).numpy())


def test_many_planes_of_many_concepts_do_not_overflow():
    planes = torch.randint(0, 60_000, (1, 9, 8, 8), generator=torch.Generator().manual_seed(0))
    codes, members = encode(planes)
    assert np.array_equal(members[codes.numpy()], planes.permute(0, 2, 3, 1).numpy())
