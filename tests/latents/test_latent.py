import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.errors import ConfigError
from dissect.latents import Latent


def wide(seed, n_layers=4, size=3):
    generator = torch.Generator().manual_seed(seed)
    return Latent("w+", torch.randn(2, n_layers, size, generator=generator))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99), st.integers(100, 199), st.floats(0, 1))
def test_a_line_between_latents_has_both_ends_and_is_straight(first, second, fraction):
    a, b = wide(first), wide(second)
    assert torch.equal(a.interpolate(b, 0).data, a.data)
    assert torch.equal(a.interpolate(b, 1).data, b.data)
    between = a.interpolate(b, fraction)
    torch.testing.assert_close(between.data, b.interpolate(a, 1 - fraction).data)
    whole, part = (b.data - a.data), (between.data - a.data)
    torch.testing.assert_close(part, fraction * whole, rtol=1e-4, atol=1e-5)


def test_layers_of_another_latent_are_taken_as_they_are():
    a, b = wide(0), wide(1)
    mixed = a.with_layers(b, range(1, 3))
    for layer in range(4):
        source = b if layer in (1, 2) else a
        assert torch.equal(mixed.data[:, layer], source.data[:, layer])
    assert torch.equal(a.data, wide(0).data)
    assert torch.equal(mixed.with_layers(a, range(4)).data, a.data)


def test_a_shift_of_the_whole_batch_moves_each_sample_by_its_own():
    a, b = wide(0), wide(1)
    assert torch.equal(a.shift(b.data).data, a.data + b.data)
    # A row of one layer stands for all layers, and labels stay.
    labelled = Latent("w+", a.data, torch.tensor([3, 4]))
    moved = labelled.shift([1.0, 2.0, 3.0])
    assert torch.equal(moved.data, a.data + torch.tensor([1.0, 2.0, 3.0]))
    assert moved.label is labelled.label


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a: a.interpolate(Latent("w", a.data), 0.5), "expected the same space and shape"),
        (lambda a: a.with_layers(wide(1), [4]), "layer 4 is not in w\\+; expected 0 to 3"),
        (lambda a: a.shift([1.0, 2.0]), r"shape \(2,\); expected \(4, 3\) or \(3,\)"),
        (
            lambda a: Latent("w", a.data[:, 0]).with_layers(Latent("w", a.data[:, 0]), [0]),
            "expected w\\+, which has layers",
        ),
        (
            lambda a: Latent("w+", a.data, torch.tensor([0, 1])).interpolate(a, 0.5),
            "one latent has classes",
        ),
        (
            lambda a: Latent("w+", a.data, torch.tensor([0, 1])).interpolate(
                Latent("w+", a.data, torch.tensor([0, 2])), 0.5
            ),
            "a class has no middle way",
        ),
    ],
)  # fmt: skip
def test_latents_that_do_not_fit_are_told_in_one_line(make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make(wide(0))
    assert "\n" not in str(caught.value)
