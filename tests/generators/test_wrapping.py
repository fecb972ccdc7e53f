import pytest
import torch
from torch import nn

import dissect
from dissect.errors import GeneratorError
from dissect.latents import standard_normal
from dissect.testing import check_generator


def network(n_out=3):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.ConvTranspose2d(8, 6, 4), nn.BatchNorm2d(6), nn.ReLU()),
        nn.Sequential(nn.ConvTranspose2d(6, n_out, 4, 2, 1), nn.Tanh()),
    )


def test_a_network_of_ones_own_keeps_all_laws_and_is_dissected(tmp_path):
    generator = dissect.wrap(network(), sample=(8, 1, 1), layers=["0", "0.0"], name="mine")
    check_generator(generator)
    assert (generator.image_size, generator.layers["0"].units) == (8, 6)
    run = dissect.dissect(generator, "colour", out=tmp_path / "r", n_samples=32, progress=False)
    assert set(run.summary()["layers"]) == {"0", "0.0"}


def test_every_innermost_map_is_a_layer_unless_some_are_named():
    assert list(dissect.wrap(network(1), sample=(8, 1, 1)).layers) == [
        "0.0", "0.1", "0.2", "1.0", "1.1",
    ]  # fmt: skip


def test_latents_may_be_drawn_by_a_function():
    def draw(indices, seed):
        return 2 * standard_normal(indices, seed=seed, size=8).reshape(-1, 8, 1, 1)

    generator = dissect.wrap(network(), sample=draw)
    check_generator(generator)
    plain = dissect.wrap(network(), sample=(8, 1, 1))
    assert torch.equal(generator.sample([5], seed=1).data, 2 * plain.sample([5], seed=1).data)


@pytest.mark.parametrize(
    ("module", "settings", "message"),
    [
        (network(), {"layers": ["2"]}, r"layers of wrapped are \['2'\]"),
        (network(2), {}, r"put out \(2, 8, 8\); expected images"),
        (nn.Flatten(), {}, r"put out \(8,\); expected images"),
        (network(), {"layers": []}, "are none, which put out no map"),
    ],
)
def test_what_is_no_generator_is_told(module, settings, message):
    with pytest.raises(GeneratorError, match=message) as told:
        dissect.wrap(module, sample=(8, 1, 1), **settings)
    assert "\n" not in str(told.value)
