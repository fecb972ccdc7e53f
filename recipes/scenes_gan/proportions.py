"""How much of the image each concept covers, brought to what it is in renders.

Discriminators see one batch at a time, in which a sky that is one percent too large in the mean
can't be told from chance. So the first two moments of the areas are followed over many batches and
compared with those of renders. A segmenter says what covers what; it is another network than the
one by which areas are judged in a card (other first weights, other renders), so that the generator
can't simply learn the judge's mistakes.

    loss = Σ_c E[z_c]² + 1/C Σ_cd (E[z_c z_d] - R_cd)²,  z_c = (a_c - mean a_c) / sd a_c

where a_c is the share of the image that concept c covers, mean, sd and R = E[z zᵀ] are over renders
and the expectations over the generator's last thousand images or so.

References:
    Li et al., Generative Moment Matching Networks, ICML 2015 (moments as a loss).
    Bengio et al., Estimating or Propagating Gradients Through Stochastic Neurons, 2013 (the hard
    label forwards, the gradient of the soft one).
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segmenters.scenes import PLANE_SIZES, ScenesNetwork

_KEEP = 0.97  # of the running moments, per step
_FAR = 5.0  # standard deviations at which z is cut off, in renders too
_LEAST_SPREAD = 0.003  # of the image, for concepts that hardly occur


def cover(
    network: ScenesNetwork, images: Float[Tensor, "batch 3 64 64"]
) -> Float[Tensor, "batch concept"]:
    """Share of each image that each concept covers, by the most probable concept of a pixel.

    The gradient is that of the mean probability, since a count has none.
    """
    unet = network.unet
    logits = unet.segmentation_head(unet.decoder(unet.encoder(images))).float()
    shares = []
    for part in logits.split(PLANE_SIZES, dim=1):
        soft = part.softmax(dim=1).mean(dim=(2, 3))
        with torch.no_grad():
            hard = torch.zeros_like(part).scatter_(1, part.argmax(dim=1, keepdim=True), 1.0)
            correction = hard.mean(dim=(2, 3)) - soft
        shares.append((soft + correction)[:, 1:])  # the first is none of the plane's concepts
    return torch.cat(shares, dim=1)


class Proportions(nn.Module):
    """The loss and its running moments, which are this module's state.

    Args:
        network: Says what covers what; kept frozen, and no part of the state.
        reals: Batches of renders.
    """

    first: Tensor
    second: Tensor

    def __init__(
        self, network: ScenesNetwork, reals: Iterable[Float[Tensor, "batch 3 64 64"]]
    ) -> None:
        super().__init__()
        self._network = [network.eval().requires_grad_(False)]
        with torch.no_grad():
            shares = torch.cat([cover(network, batch) for batch in reals])
        self.middle = shares.mean(dim=0)
        self.spread = shares.std(dim=0).clamp(min=_LEAST_SPREAD)
        z = self._standard(shares)
        self.true_first = z.mean(dim=0)
        self.true_second = z.T @ z / len(z)
        # Until images are seen the moments are taken to be right, and nothing pulls.
        self.register_buffer("first", self.true_first.clone())
        self.register_buffer("second", self.true_second.clone())

    def _standard(self, shares: Tensor) -> Tensor:
        return ((shares - self.middle) / self.spread).clamp(-_FAR, _FAR)

    def forward(self, images: Float[Tensor, "batch 3 64 64"]) -> Float[Tensor, ""]:
        """The loss with these images counted in; its gradient is that of their own share of it.

        The moments lag, so a batch's gradient is what it would be if all images were its own.
        """
        z = self._standard(cover(self._network[0], images))
        products = z[:, :, None] * z[:, None, :]  # no matrix product: float32 in autocast too
        now = z.mean(dim=0), products.mean(dim=0)
        wrong = []
        for running, own, true in zip(
            (self.first, self.second), now, (self.true_first, self.true_second), strict=True
        ):
            running.lerp_(own.detach(), 1 - _KEEP)
            wrong.append(running + own - own.detach() - true)  # value of the first, gradient of own
        return wrong[0].square().sum() + wrong[1].square().sum() / len(wrong[0])
