"""Laws that hold for the generator of every family, however small or odd it is."""

import pytest
import torch

from dissect import trace
from dissect.generators.base import Generator
from dissect.latents import Latent
from tests.rounding import assert_same


@pytest.fixture
def check_laws():
    """Checks a generator: its samples, spaces, layers, gradients."""

    def check(generator, *, label=None):
        assert isinstance(generator, Generator)
        assert all(not p.requires_grad for p in generator.module.parameters())
        assert not any(m.training for m in generator.module.modules())
        together = generator.sample([5, 9, 2], seed=4, label=label)
        alone = generator.sample([9], seed=4, label=label)
        assert torch.equal(alone.data, together.data[1:2])

        image = generator.synthesize(together)
        size = generator.image_size
        assert image.shape == (3, generator.channels, size, size)
        assert image.dtype == torch.float32
        assert torch.equal(generator.synthesize(together), image)
        assert_same(generator.synthesize(alone), image[1:2])
        at = together
        for space in list(generator.spaces)[1:]:
            at, direct = generator.convert(at, space), generator.convert(together, space)
            if "p" in generator.spaces:  # w / a, times a, is rounded twice on the way through p
                assert_same(at.data, direct.data)
            else:
                assert torch.equal(at.data, direct.data)
            assert at.data.shape[1:] == generator.spaces[space].shape
            assert_same(generator.synthesize(at), image)

        with trace(generator, "all") as maps:  # refuses other shapes than were declared
            generator.synthesize(alone)
        assert list(maps) == list(generator.layers)
        once = generator.synthesize(alone)
        for layer in generator.layers.values():
            module = generator.module.get_submodule(layer.module)
            handle = module.register_forward_hook(
                lambda m, i, o: o * torch.linspace(0.2, 2, o.shape[-1])
            )
            try:
                assert not torch.equal(generator.synthesize(alone), once), layer.module
            finally:
                handle.remove()
        last = list(generator.spaces)[-1]
        point = generator.convert(together, last)
        moved = Latent(last, point.data + 0.5, point.label)
        assert not torch.allclose(generator.synthesize(moved), image)
        live = together.data.clone().requires_grad_()
        generator.synthesize(Latent("z", live, together.label)).square().sum().backward()
        assert live.grad.abs().sum() > 0

    return check
