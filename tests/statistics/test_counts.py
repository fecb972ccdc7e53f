import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dissect.statistics.codes import encode
from dissect.statistics.collect import above_of, bins_of
from dissect.statistics.device import tally_torch
from dissect.statistics.edges import levels_of, snap
from dissect.statistics.groups import GroupedCodes
from dissect.statistics.kernel import Sources
from dissect.statistics.kernel import count_above as count_chunk
from dissect.statistics.kernel import tally as tally_groups
from dissect.statistics.reference import count_above
from dissect.statistics.resize import resize, sample, taps, values_at
from dissect.statistics.scores import above

SIZES = [(1, 1), (4, 4), (7, 5), (33, 17), (48, 48)]


def random_case(seed, *, size=(6, 5), grid=(9, 8), units=5, images=6, concepts=(2, 3), edges=7):
    """Maps with repeated values, planes, and edges that some values hit exactly."""
    draw = torch.Generator().manual_seed(seed)
    maps = (torch.randn(images, units, *size, generator=draw) * 8).round() / 8
    planes, first = [], 0
    for n in concepts:
        plane = torch.randint(0, n + 1, (images, *grid), generator=draw)
        planes.append(torch.where(plane > 0, plane + first, 0))
        first += n
    chosen = ((torch.randn(units, edges, generator=draw) * 8).round() / 8).sort(dim=1).values
    return maps, torch.stack(planes, dim=1), chosen, first


def snapped(edges):
    """The nearest edges that can be counted with."""
    return torch.from_numpy(snap(edges.numpy()))


def tally(maps, codes, edges, *, n_codes, n_threads=None):
    """The kernel on codes."""
    groups = GroupedCodes.of(codes, n_codes=n_codes)
    return tally_groups(maps, groups, edges, n_threads=n_threads)


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


def reference_table(maps, codes, edges, n_codes):
    """What ``tally`` promises, from ``count_above``: concept c of a set is its code c - 1."""
    tables = []
    for own in codes:
        counts = count_above(maps, own[:, None] + 1, edges, n_codes)[1:]
        area = np.array([(own == code).sum() for code in range(n_codes)])
        pixels = np.broadcast_to(area[:, None, None], (*counts.shape[:2], 1))
        zero = np.zeros_like(pixels)
        tables.append(-np.diff(np.concatenate([pixels, counts, zero], axis=2), axis=2))
    return np.stack(tables)


def random_codes(seed, *, sets=1, images=6, grid=(9, 8), n_codes=6, run=1):
    """Codes in runs of some pixels of a row, as labels have them."""
    draw = torch.Generator().manual_seed(seed)
    width = -(-grid[1] // run)
    codes = torch.randint(0, n_codes, (sets, images, grid[0], width), generator=draw)
    return codes.repeat_interleave(run, dim=3)[..., : grid[1]].to(torch.int32).contiguous()


def assert_both_count_as_the_reference(maps, codes, edges, n_codes):
    expected = reference_table(maps, codes, edges, n_codes)
    for function in (tally, tally_torch):
        found = function(maps, codes, edges, n_codes=n_codes)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("units", [1, 5, 130])
def test_the_kernel_counts_what_the_reference_counts_bit_by_bit(size, units):
    maps, planes, edges, n_concepts = random_case(1, size=size, units=units, images=3)
    codes, members = encode(planes)
    table = tally(maps, codes[None].contiguous(), edges, n_codes=len(members))
    found = above(fold(table[0], members, n_concepts))
    np.testing.assert_array_equal(found, count_above(maps, planes, edges, n_concepts))


@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    grid=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    units=st.integers(1, 40),
    edges=st.integers(0, 20),
    sets=st.integers(1, 3),
    run=st.integers(1, 9),
    threads=st.integers(1, 5),
)
@settings(max_examples=60)
def test_every_shape_is_counted_as_the_reference_counts_it(
    seed, size, grid, units, edges, sets, run, threads
):
    maps, _, chosen, _ = random_case(seed, size=size, units=units, images=3, edges=edges)
    codes = random_codes(seed, sets=sets, images=3, grid=grid, run=run)
    found = tally(maps, codes, chosen, n_codes=6, n_threads=threads)
    np.testing.assert_array_equal(found, reference_table(maps, codes, chosen, 6))
    np.testing.assert_array_equal(found, tally_torch(maps, codes, chosen, n_codes=6))


@pytest.mark.parametrize(
    ("size", "grid"),
    [((80, 150), (16, 16)), ((8, 8), (64, 64)), ((5, 7), (3, 1500)), ((64, 64), (64, 64))],
    ids=["layer larger than the grid", "enlarged", "rows wider than a tile", "same size"],
)
def test_several_tiles_and_large_layers_are_counted_as_the_reference_counts_them(size, grid):
    draw = torch.Generator().manual_seed(6)
    maps = torch.randn(2, 20, *size, generator=draw)
    edges = snapped(torch.randn(20, 48, generator=draw).sort(dim=1).values)
    codes = random_codes(6, sets=2, images=2, grid=grid, run=5)
    assert_both_count_as_the_reference(maps, codes, edges, 6)


def test_a_code_may_have_more_pixels_than_16_bits_hold():
    maps = torch.randn(3, 2, 9, 9, generator=torch.Generator().manual_seed(11))
    codes = torch.zeros(2, 3, 190, 180, dtype=torch.int32)
    edges = snapped(torch.tensor([[-9.0, -1, 0, 1], [-9.0, -8, -7, 9]]))
    assert_both_count_as_the_reference(maps, codes, edges, 1)


@pytest.mark.parametrize("size", [(6, 5), (40, 30)], ids=["small", "larger than the grid"])
@pytest.mark.parametrize("share", [slice(0, 20), slice(16, 20)])
def test_a_share_of_units_is_counted_in_place_or_from_a_copy_alike(size, share):
    maps, _, edges, _ = random_case(12, units=20, size=size)
    grouped = GroupedCodes.of(random_codes(12), n_codes=6)
    scale, units = levels_of(edges.numpy()), (share.start, min(share.start + 16, 20))
    ways = [maps, maps.to(memory_format=torch.channels_last), maps.double()]
    sources = [Sources.of(one, grouped.grid, share) for one in ways]
    assert sources[0].first_unit == (0 if size == (6, 5) else share.start)
    assert sources[1].first_unit == share.start
    expected = reference_table(maps, torch.from_numpy(grouped.codes), edges, 6)
    for one in sources:
        found = np.empty_like(expected[:, :, slice(*units)], np.int32)
        bins_of(*count_chunk(one, 0, grouped, scale, units), found)
        np.testing.assert_array_equal(found, expected[:, :, slice(*units)])


@given(st.integers(0, 10_000), st.integers(0, 5), st.integers(1, 4))
@settings(max_examples=20)
def test_both_forms_of_counts_hold_the_same(seed, n_edges, n_units):
    draw = np.random.default_rng(seed)
    table = draw.integers(0, 9, (2, 3, 1, n_edges + 1), np.int32)
    # Every unit has all pixels of a code.
    table = np.stack([draw.permuted(table[:, :, 0], axis=2) for _ in range(n_units)], axis=2)
    counts, pixels = above_of(table)
    np.testing.assert_array_equal(pixels, table[:, :, 0].sum(axis=2))
    for edge in range(n_edges):
        np.testing.assert_array_equal(counts[:, :, edge], table[..., edge + 1 :].sum(axis=3))
    again = np.empty_like(table)
    bins_of(counts, pixels, again)
    np.testing.assert_array_equal(again, table)


def test_chunks_of_units_do_not_mix():
    maps, _, edges, _ = random_case(7, units=513, images=2, size=(3, 4))
    assert_both_count_as_the_reference(maps, random_codes(7, images=2), edges, 6)


@pytest.mark.parametrize("shape", [(0, 4), (2, 0)], ids=["no images", "no units"])
def test_an_empty_block_counts_nothing(shape):
    images, units = shape
    codes = random_codes(0, sets=2, images=images)
    for function in (tally, tally_torch):
        table = function(torch.zeros(images, units, 3, 3), codes, torch.zeros(units, 5), n_codes=6)
        assert table.shape == (2, 6, units, 6)
        assert table.sum() == 0


def test_a_single_image_is_counted_with_more_threads_than_images():
    maps, _, edges, _ = random_case(8, images=1)
    codes = random_codes(8, images=1)
    found = tally(maps, codes, edges, n_codes=6, n_threads=8)
    np.testing.assert_array_equal(found, reference_table(maps, codes, edges, 6))


@pytest.mark.parametrize("units", [5, 130])
def test_the_kernel_gives_the_same_counts_for_any_number_of_threads(units):
    maps, planes, edges, _ = random_case(2, units=units)
    codes, members = encode(planes)
    one, three, eight = (
        tally(maps, codes[None].contiguous(), edges, n_codes=len(members), n_threads=n)
        for n in (1, 3, 8)
    )
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(one, eight)


def test_maps_in_any_memory_order_are_counted_alike_and_left_as_they_were():
    maps, _, edges, _ = random_case(9, units=20)
    codes = random_codes(9, sets=2)
    plain = tally(maps, codes, edges, n_codes=6)
    last = maps.to(memory_format=torch.channels_last)
    before = last.clone()
    np.testing.assert_array_equal(plain, tally(last, codes, edges, n_codes=6))
    assert torch.equal(last, before)


def test_a_value_equal_to_its_threshold_is_not_above_it():
    maps = torch.full((1, 1, 2, 2), 0.5)
    codes = torch.zeros(1, 1, 2, 2, dtype=torch.int32)
    edges = snapped(torch.tensor([[0.4, 0.5, 0.5, 0.6]]))
    assert tally(maps, codes, edges, n_codes=1)[0, 0, 0].tolist() == [0, 4, 0, 0, 0]
    assert_both_count_as_the_reference(maps, codes, edges, 1)


def test_a_constant_unit_is_counted_beside_one_that_varies():
    maps, _, edges, _ = random_case(10, units=3)
    maps[:, 1] = 0
    edges[1] = 0
    codes = random_codes(10)
    assert_both_count_as_the_reference(maps, codes, edges, 6)
    assert (tally(maps, codes, edges, n_codes=6)[:, :, 1, 1:] == 0).all()


def test_nan_is_above_no_edge_and_infinity_above_every_one():
    maps = torch.full((1, 1, 2, 2), float("inf"))
    codes = torch.zeros(1, 1, 4, 4, dtype=torch.int32)
    edges = torch.tensor([[0.0, 1.0, 2.0]])
    # The first row and column blend with weight nought, which makes NaN of infinity.
    assert resize(maps, (4, 4)).isnan().sum() == 7
    assert tally(maps, codes, edges, n_codes=1)[0, 0, 0].tolist() == [7, 0, 0, 9]
    assert tally(-maps, codes, edges, n_codes=1)[0, 0, 0].tolist() == [16, 0, 0, 0]
    assert_both_count_as_the_reference(maps, codes, edges, 1)


@given(st.integers(0, 10_000), st.sampled_from([(1, 1), (6, 5), (9, 8), (20, 30)]))
@settings(max_examples=20)
def test_maps_that_are_not_finite_are_counted_as_the_reference_counts_them(seed, size):
    maps, _, edges, _ = random_case(seed, size=size)
    draw = torch.Generator().manual_seed(seed)
    strange = torch.tensor([float("nan"), float("inf"), -float("inf")])
    kind = torch.randint(0, 30, maps.shape, generator=draw)
    maps = torch.where(kind < 3, strange[kind.clamp(max=2)], maps)
    assert_both_count_as_the_reference(maps, random_codes(seed, sets=2), edges, 6)


@given(st.integers(0, 10_000), st.integers(1, 2))
@settings(max_examples=20)
def test_every_pixel_is_in_one_bin_of_its_code(seed, sets):
    maps, _, edges, _ = random_case(seed)
    codes = random_codes(seed, sets=sets)
    table = tally(maps, codes, edges, n_codes=6)
    assert (table >= 0).all()
    for own, found in zip(codes, table, strict=True):
        area = torch.bincount(own.flatten(), minlength=6).numpy()
        assert (found.sum(axis=2) == area[:, None]).all()


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(max_examples=25)
def test_codes_stand_for_the_concepts_of_their_pixels(seed, n_planes):
    draw = torch.Generator().manual_seed(seed)
    planes = torch.randint(0, 200, (2, n_planes, 4, 5), generator=draw)
    codes, members = encode(planes)
    assert np.array_equal(members[codes.numpy()], planes.permute(0, 2, 3, 1).numpy())


def test_many_planes_of_many_concepts_do_not_overflow():
    planes = torch.randint(0, 60_000, (1, 9, 8, 8), generator=torch.Generator().manual_seed(0))
    codes, members = encode(planes)
    assert np.array_equal(members[codes.numpy()], planes.permute(0, 2, 3, 1).numpy())


@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 3.0, -1000.0, 1e6, 1e-30]),
    st.sampled_from([1e-20, 1e-4, 1.0, 1e5, 1e30]),
)
@settings(max_examples=60)
def test_units_of_any_offset_and_spread_are_counted_as_the_reference_counts_them(
    seed, offset, spread
):
    draw = torch.Generator().manual_seed(seed)
    maps = offset + spread * torch.randn(2, 3, 4, 4, generator=draw)
    edges = maps.transpose(0, 1).flatten(1)[:, 3:30:4].sort(dim=1).values.contiguous()
    edges[1] = edges[1, 0]
    edges[2, :3] = edges[2, 0]
    codes = random_codes(seed, images=2)
    assert_both_count_as_the_reference(maps, codes, snapped(edges), 6)


@given(st.integers(0, 10_000), st.floats(-1e6, 1e6, width=32), st.sampled_from([1e-6, 1.0, 1e6]))
@example(117, 0.0, 1e6)  # one of the edges comes to be 0
@settings(max_examples=60)
def test_snapping_moves_edges_up_by_little_and_only_once(seed, offset, spread):
    draw = np.random.default_rng(seed)
    edges = np.sort((offset + spread * draw.normal(size=(3, 9))).astype(np.float32), axis=1)
    found = snap(edges)
    reach = (edges[:, -1:] - edges[:, :1]) * 2.0**-14
    assert (found >= edges).all()
    assert (found <= edges + np.maximum(reach, np.abs(edges) * 2.0**-22)).all()
    np.testing.assert_array_equal(snap(found), found)
    levels_of(found)  # does not refuse


def test_edges_that_levels_cannot_tell_apart_are_refused():
    edges = np.array([[0.0, 2.0**-20, 1.0]], np.float32)
    with pytest.raises(ValueError, match="too fine"):
        levels_of(edges)
    assert snap(edges)[0].tolist() == [0.0, 2.0**-15, 1.0]


def test_units_with_an_edge_at_zero_count_as_the_reference():
    draw = torch.Generator().manual_seed(3)
    maps = 1e6 * torch.randn(2, 4, 9, 8, generator=draw)
    edges = snapped(1e6 * torch.randn(4, 9, generator=draw).sort(dim=1).values)
    edges[:, 4] = 0.0
    edges[3] = 0.0
    codes = random_codes(3, images=2)
    assert_both_count_as_the_reference(maps, codes, edges.sort(dim=1).values, 6)
