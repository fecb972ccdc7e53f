import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.counting.kept_pictures import KeptPictures
from dissect.counting.subject import Block
from dissect.pictures import to_tile
from dissect.statistics.resize import resize
from dissect.statistics.units.top_images import TopImages


def tops_of(peaks, seen, k):
    """The k highest of the samples seen, by sorting all of them."""
    found = TopImages.none(n_units=peaks.shape[1], k=k)
    for unit in range(peaks.shape[1]):
        best = sorted(seen, key=lambda i: (-peaks[i, unit], i))[:k]
        found.indices[unit, : len(best)] = best
    return found


def blocks_of(maps, images, size):
    for first in range(0, len(images), size):
        rows = slice(first, first + size)
        indices = list(range(first, min(first + size, len(images))))
        yield Block(indices, images[rows], {name: one[rows] for name, one in maps.items()})


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.permutations(range(6)))
def test_what_is_kept_is_the_top_images_whatever_the_order_of_blocks(
    tmp_path_factory, seed, k, order
):
    draw = torch.Generator().manual_seed(seed)
    images = torch.rand(24, 3, 16, 16, generator=draw) * 2 - 1
    maps = {
        "small": torch.rand(24, 5, 4, 4, generator=draw),
        "large": torch.rand(24, 2, 20, 20, generator=draw),  # larger than a tile
    }
    peaks = {name: one.flatten(2).amax(dim=2) for name, one in maps.items()}
    blocks = list(blocks_of(maps, images, 4))
    seen = []
    with KeptPictures(tmp_path_factory.mktemp("kept"), image_size=16) as pictures:
        for number in order:
            seen += blocks[number].indices
            tops = {name: tops_of(one, seen, k) for name, one in peaks.items()}
            pictures.keep(blocks[number], tops)
        for name, top in tops.items():
            assert pictures.holds(name, top.indices).all()
            units, ranks = np.nonzero(top.indices >= 0)
            indices = top.indices[units, ranks]
            expected = resize(maps[name][indices, units][:, None], (16, 16))[:, 0]
            assert torch.equal(pictures.maps(name, units, indices), expected)
        shown = {int(i) for top in tops.values() for i in top.indices.ravel()}
        for index in range(24):
            tile = pictures.image(index)
            assert (tile is None) == (index not in shown)
            if tile is not None:
                np.testing.assert_array_equal(tile, to_tile(images[index], 16))


def test_the_file_does_not_grow_with_the_samples(tmp_path):
    draw = torch.Generator().manual_seed(0)
    sizes = []
    with KeptPictures(tmp_path, image_size=8) as pictures:
        peaks = np.zeros((0, 3))
        for first in range(0, 400, 4):
            images = torch.rand(4, 3, 8, 8, generator=draw)
            maps = torch.rand(4, 3, 8, 8, generator=draw) + first  # each block replaces the last
            peaks = np.concatenate([peaks, maps.flatten(2).amax(dim=2).numpy()])
            block = Block(list(range(first, first + 4)), images, {"a": maps})
            pictures.keep(block, {"a": tops_of(peaks, range(first + 4), 2)})
            sizes.append(pictures.n_bytes)
    assert sizes[-1] == sizes[10]


@pytest.mark.parametrize("limit", [0, 2000])
def test_what_has_no_room_is_not_kept_and_says_so(tmp_path, limit):
    maps = {"a": torch.rand(4, 3, 8, 8), "b": torch.rand(4, 100, 8, 8)}
    block = Block([0, 1, 2, 3], torch.rand(4, 3, 8, 8), maps)
    tops = {name: tops_of(one.flatten(2).amax(dim=2), range(4), 2) for name, one in maps.items()}
    with KeptPictures(tmp_path, image_size=8, limit=limit) as pictures:
        pictures.keep(block, tops)
        assert pictures.holds("a", tops["a"].indices).all() == bool(limit)
        assert not pictures.holds("b", tops["b"].indices).any()
