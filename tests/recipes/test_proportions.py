"""The loss on how much of the image each concept covers."""

from types import SimpleNamespace

import torch
from torch import nn

from dissect.worlds import render_scenes
from recipes.scenes_gan.proportions import Proportions, cover
from segmenters.scenes import PLANE_SIZES, SIZE, ScenesSegmenter, load_network
from segmenters.scenes_vocabulary import SCENES_VOCABULARY

_ROWS = 64


class Bright(nn.Module):
    """Sees the first concept of the first plane where an image is bright, and nothing else."""

    def __init__(self):
        super().__init__()
        self.unet = SimpleNamespace(
            encoder=lambda images: images, decoder=lambda x: x, segmentation_head=self._logits
        )

    def _logits(self, images):
        nothing = [torch.full_like(images[:, :1], 9.0) for _ in PLANE_SIZES]
        others = [images.new_full((len(images), n - 1, _ROWS, 1), -9.0) for n in PLANE_SIZES]
        nothing[0] = torch.zeros_like(images[:, :1])
        others[0] = torch.cat([8 * images[:, :1], others[0][:, 1:]], dim=1)
        return torch.cat([x for pair in zip(nothing, others, strict=True) for x in pair], dim=1)


def stripes(share):
    """Images that are bright above a height and dark below; soft at the border."""
    rows = (torch.arange(_ROWS) + 0.5) / _ROWS
    bright = torch.tanh((share[:, None] - rows) * 20)
    return bright[:, None, :, None].expand(-1, 3, -1, 1)


def shares(n, middle, spread, *, seed=0):
    return middle + spread * torch.randn(n, generator=torch.Generator().manual_seed(seed))


def test_what_is_covered_is_what_the_segmenter_says():
    network = load_network()
    images = render_scenes(range(6), seed=3, size=SIZE).images
    with torch.no_grad():
        covered = cover(network, images)
    labels = ScenesSegmenter(network, device="cpu").segment(images)
    for concept in SCENES_VOCABULARY:
        counted = (labels == concept.id).sum(dim=(1, 2, 3)) / SIZE**2
        assert torch.allclose(covered[:, concept.id - 1], counted.float(), atol=1e-6), concept.name


def test_a_generator_with_wrong_mean_and_spread_is_brought_to_those_of_the_reals():
    proportions = Proportions(Bright(), stripes(shares(2048, 0.4, 0.10)).split(256))
    middle, spread = (nn.Parameter(torch.tensor(value)) for value in (0.55, 0.04))
    adam = torch.optim.Adam([middle, spread], lr=0.001, betas=(0.0, 0.99))
    for step in range(600):
        loss = proportions(stripes(shares(32, middle, spread, seed=1 + step)))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert abs(middle.item() - 0.4) < 0.02
    assert abs(abs(spread.item()) - 0.10) < 0.02


def test_nothing_pulls_where_the_images_are_as_the_reals():
    reals = stripes(shares(2048, 0.4, 0.1))
    proportions = Proportions(Bright(), reals.split(256))
    for step in range(200):
        right = proportions(stripes(shares(32, 0.4, 0.1, seed=1 + step)))
    wrong = Proportions(Bright(), reals.split(256))
    for step in range(200):
        twice = wrong(stripes(shares(32, 0.45, 0.1, seed=1 + step)))
    assert right < 0.05
    assert twice > 0.1
