"""StyleCLIP's table of channels, and the directions that texts pick of it."""

import numpy as np
import pytest
import torch

from dissect.directions import Direction
from dissect.directions.interchange import import_directions
from dissect.directions.styleclip import read_fs3, write_fs3
from dissect.errors import ConfigError
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.fixture(scope="module")
def styled():
    torch.manual_seed(0)
    config = StyleGAN2Config(16, (8, 8, 8), z_size=8, w_size=8, mapping_depth=2)
    return StyleGAN2(StyleGAN2Network(config).eval().requires_grad_(False), name="tiny")


@pytest.fixture(scope="module")
def kept(styled):
    """Numbers of s that belong to no ToRGB."""
    parts = [np.arange(s.start, s.stop) for n, s in styled.style_slices.items() if "torgb" not in n]
    found = np.concatenate(parts)
    assert 0 < len(found) < styled.spaces["s"].shape[0]
    return found


@pytest.fixture(scope="module")
def sigma(styled):
    """Deviations of the channels, of the same samples by numpy."""
    s = styled.convert(styled.sample(range(2000), seed=0), "s").data.double().numpy()
    return np.sqrt(((s - s.mean(axis=0)) ** 2).sum(axis=0) / (len(s) - 1))


def test_fs3_and_a_text_give_a_direction_in_s(tmp_path, styled, kept, sigma):
    table = numbers(len(kept), 512) / np.sqrt(512)
    np.save(tmp_path / "fs3.npy", table)
    text = numbers(512, seed=1) * 7
    np.save(tmp_path / "smiling.npy", text)
    (found,) = import_directions(
        tmp_path / "fs3.npy", format="fs3", text=tmp_path / "smiling.npy", generator=styled,
        threshold=0.05,
    )  # fmt: skip
    relevance = table @ (text / np.linalg.norm(text))
    expected = np.zeros(len(sigma))
    expected[kept] = np.where(np.abs(relevance) < 0.05, 0, relevance) / np.abs(relevance).max()
    np.testing.assert_allclose(found.vector, expected * sigma, rtol=1e-3, atol=1e-6)
    assert (found.name, found.space, found.mode) == ("smiling", "s", "add")
    assert 0 < found.provenance.settings["channels"] < len(kept)
    assert found.provenance.method == "import:fs3"
    assert found.provenance.fingerprints == {"generator": styled.fingerprint}
    whole = np.zeros((len(sigma), 512))
    whole[kept] = table
    np.save(tmp_path / "all.npy", whole)
    again = read_fs3(tmp_path / "all.npy", text, generator=styled, threshold=0.05)
    np.testing.assert_allclose(again.vector, found.vector, rtol=1e-5, atol=1e-7)


def test_a_direction_that_is_written_is_that_of_its_text_and_of_no_other(
    tmp_path, styled, kept, sigma
):
    vector = np.zeros(len(sigma))
    vector[kept[:5]] = [1.0, -2.0, 0.5, 0.1, 3.0]
    text, other = numbers(512, seed=1), numbers(512, seed=2)
    path = write_fs3(Direction("mine", "s", vector), tmp_path / "fs3.npy", text, generator=styled)
    assert np.load(path, allow_pickle=False).shape == (len(kept), 512)
    found = read_fs3(path, text, generator=styled, threshold=0)
    steps = vector / sigma
    np.testing.assert_allclose(found.vector, vector / np.abs(steps).max(), rtol=1e-3, atol=1e-6)
    with pytest.raises(ConfigError, match="expected a lower threshold"):
        read_fs3(path, other, generator=styled, threshold=0.5)


def test_what_fs3_cannot_say_is_one_line(tmp_path, styled, kept, sigma):
    text = numbers(512, seed=1)
    table = numbers(len(kept), 512)
    np.save(tmp_path / "fs3.npy", table)
    np.save(tmp_path / "short.npy", table[1:])
    cases = [
        (lambda: read_fs3(tmp_path / "short.npy", text, generator=styled), "the channels of s"),
        (lambda: read_fs3(tmp_path / "fs3.npy", text[1:], generator=styled), "has 511 numbers"),
        (lambda: read_fs3(tmp_path / "fs3.npy", 0 * text, generator=styled), "not all of them 0"),
        (lambda: import_directions(tmp_path / "fs3.npy", format="fs3"), "give --text FILE"),
    ]
    rgb = np.setdiff1d(np.arange(len(sigma)), kept)
    moved = np.zeros(len(sigma))
    moved[rgb[0]] = 1
    for direction, line in (
        (Direction("a", "w", np.ones(8)), "expected a direction in s"),
        (Direction("a", "s", moved), "channels of ToRGB, which fs3 lacks"),
    ):
        cases.append(
            (
                lambda one=direction: write_fs3(one, tmp_path / "x.npy", text, generator=styled),
                line,
            )
        )
    for call, line in cases:
        with pytest.raises(ConfigError, match=line) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.npy").exists()
