"""Options of stylegan2-ada-pytorch that hardly anybody changes.

There are no files of the program with them, but files without: what is added here to such a file
changes no image, so the images that the program computed have to come out.
"""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from dissect import Latent, load_generator
from dissect.generators.checkpoint import read
from dissect.generators.stylegan2 import default_filter, smooth, upsample
from dissect.testing import check_generator
from tests.rounding import assert_same


@pytest.fixture
def plain(checkpoints):
    """The averaged weights of a file, and what the program made of them."""

    def load(name):
        state = dict(read(checkpoints / f"{name}.pkl").groups()["G_ema"])
        return state, np.load(checkpoints / f"{name}.npz")

    return load


def assert_gives(tmp_path, state, expected):
    torch.save(state, tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    label = torch.from_numpy(expected["c"]) if generator.n_classes else None
    image = generator.synthesize(Latent("z", torch.from_numpy(expected["z"]), label))
    assert_same(image, expected["img"])
    check_generator(generator)
    return generator


def widen(state, wider):
    """Layers of the mapping with further units that nothing reads, but for the last.

    A layer divides by the root of its inputs' number, so what reads more is made larger.
    """
    depth = sum(n.startswith("mapping.fc") and n.endswith(".weight") for n in state)
    for k in range(depth):
        name = f"mapping.fc{k}"
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        if k:
            grown = torch.zeros(len(weight), weight.shape[1] + wider)
            grown[:, : weight.shape[1]] = weight * math.sqrt(grown.shape[1] / weight.shape[1])
            weight = grown
        if k < depth - 1:
            further = torch.randn(wider, weight.shape[1])
            weight, bias = torch.cat([weight, further]), torch.cat([bias, torch.ones(wider)])
        state[f"{name}.weight"], state[f"{name}.bias"] = weight, bias
    return state


@pytest.mark.parametrize("name", ["sg2ada_uncond64", "sg2ada_cond32"])
def test_a_mapping_of_another_width_than_w(tmp_path, plain, name):
    state, expected = plain(name)
    generator = assert_gives(tmp_path, widen(state, 7), expected)
    assert generator.spaces["w"].shape == expected["w"].shape[1:][-1:]


@pytest.mark.parametrize("further", [6, 31])
def test_an_embedding_of_another_width_than_w(tmp_path, plain, further):
    state, expected = plain("sg2ada_cond32")
    embed, n_in = state["mapping.embed.weight"], state["mapping.fc0.weight"].shape[1]
    length = len(embed)
    state["mapping.embed.weight"] = torch.cat([embed, torch.zeros(further, embed.shape[1])])
    state["mapping.embed.bias"] = torch.cat([state["mapping.embed.bias"], torch.zeros(further)])
    # Zeros make the embedding's other values larger when its length is brought to 1.
    weight = state["mapping.fc0.weight"] * math.sqrt((n_in + further) / n_in)
    weight[:, n_in - length :] *= math.sqrt(length / (length + further))
    state["mapping.fc0.weight"] = torch.cat([weight, torch.ones(len(weight), further)], dim=1)
    generator = assert_gives(tmp_path, state, expected)
    assert (generator.n_classes, generator.spaces["z"].shape) == (5, (n_in - length,))


FILTERS = {"5": [1, 3, 3, 1, 0], "6": [0, 1, 3, 3, 1, 0], "8": [0, 0, 1, 3, 3, 1, 0, 0]}


@pytest.mark.parametrize("taps", FILTERS)
@pytest.mark.parametrize("name", ["sg2ada_uncond64", "sg2ada_cond32"])
def test_filters_with_taps_of_zero_change_nothing(tmp_path, plain, taps, name):
    state, expected = plain(name)
    line = torch.tensor(FILTERS[taps]) / 8
    # The program stores filters of eight taps and more as a line.
    stored = line if len(line) >= 8 else line[:, None] * line
    state |= {n: stored for n in state if n.endswith("resample_filter")}
    assert_gives(tmp_path, state, expected)


def upsample_slowly(x, line):
    """Zeros between pixels, (n + 1) // 2 zeros before and (n - 2) // 2 behind, the filter."""
    n = len(line)
    wide = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    wide[:, :, ::2, ::2] = x
    before, behind = (n + 1) // 2, (n - 2) // 2
    wide = functional.pad(wide, (before, behind, before, behind))
    rows = torch.stack([(wide[..., k : k + 2 * x.shape[3] + 0] * line[n - 1 - k])
                        for k in range(n)]).sum(0)  # fmt: skip
    return 4 * torch.stack([rows[..., k : k + 2 * x.shape[2], :] * line[n - 1 - k]
                            for k in range(n)]).sum(0)  # fmt: skip


@pytest.mark.parametrize("n", range(1, 9))
def test_upsampling_equals_a_sum_over_taps(n):
    torch.manual_seed(n)
    x, line = torch.randn(2, 3, 5, 5), torch.randn(n)
    expected = upsample_slowly(x, line)
    torch.testing.assert_close(upsample(x, line[:, None] * line), expected)
    torch.testing.assert_close(upsample(x, line), expected)


@pytest.mark.parametrize("n", range(2, 9))
def test_smoothing_gives_one_pixel_less(n):
    kernel = torch.rand(n, n)
    assert smooth(torch.randn(1, 2, 9, 9), kernel).shape == (1, 2, 8, 8)


def test_the_usual_filter_is_the_binomial_one():
    torch.testing.assert_close(default_filter().sum(dim=0) * 8, torch.tensor([1.0, 3, 3, 1]))
