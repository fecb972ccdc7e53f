"""How each family of generator is built, grown and run in training."""

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.generators.pggan import PGGANConfig, PGGANNetwork
from dissect.generators.stylegan2 import StyleGAN2Config, StyleGAN2Network
from recipes.scenes_gan.polyphase import synthesize

CHANNELS = (192, 192, 128, 96, 64)
CHANNELS_128 = (*CHANNELS, 48)
# Its pixel discriminator is narrower: one as wide as the generator won from the start, and after 24
# thousand images the generator drew the same blob in the middle of every image.
JUDGE_CHANNELS = (96, 96, 64, 48, 32)


class StyleGAN2Family:
    """The style-based network, trained at its full size from the first step.

    Args:
        channels: Units at 4, 8, 16, … pixels.
        name: Of the family.
    """

    _MEAN_W_RATE = 0.005  # of the running mean of w, per step

    def __init__(self, channels: tuple[int, ...] = CHANNELS, *, name: str = "stylegan2") -> None:
        self.name = name
        self.judge_channels = (*JUDGE_CHANNELS, 24)[: len(channels)]
        self.config = StyleGAN2Config(
            image_size=4 * 2 ** (len(channels) - 1),
            channels=channels,
            z_size=128,
            w_size=128,
            mapping_depth=4,
            use_noise=False,
        )

    def build(self) -> StyleGAN2Network:
        return StyleGAN2Network(self.config)

    def fakes(
        self,
        network: StyleGAN2Network,
        n: int,
        size: int,
        draws: torch.Generator,
        *,
        fade: float,
        mixing: float,
    ) -> Float[Tensor, "n 3 size size"]:
        """Images at a size; some with one w up to a layer and another from there.

        A smaller size is the sum of the toRGB outputs up to it, so ``fade`` has nothing to do.
        """
        config, device = network.config, network.mapping.w_avg.device
        z = torch.randn(2 * n, config.z_size, generator=draws).to(device)
        w = network.mapping(z)
        if network.training:
            with torch.no_grad():
                network.mapping.w_avg.lerp_(w.float().mean(dim=0), self._MEAN_W_RATE)
        n_layers = 2 * (size.bit_length() - 2)
        cut = torch.randint(1, n_layers, (n,), generator=draws)
        mixed = torch.rand(n, generator=draws) < mixing
        cut = torch.where(mixed, cut, config.n_ws)
        first = torch.arange(config.n_ws)[None, :] < cut[:, None]
        ws = torch.where(first[:, :, None].to(device), w[:n, None], w[n:, None])
        styles = network.styles(ws, resolution=size)
        return synthesize(network.synthesis, styles, resolution=size)


class PGGANFamily:
    """The plain chain, with an output layer at each size it grows through."""

    name = "pggan"

    def __init__(self, channels: tuple[int, ...] = (96, 96, 64, 32, 16)) -> None:
        self.judge_channels = channels
        self.config = PGGANConfig(
            image_size=4 * 2 ** (len(channels) - 1),
            channels=channels,
            z_size=128,
            heads=tuple(4 * 2**k for k in range(2, len(channels))),
        )

    def build(self) -> PGGANNetwork:
        return PGGANNetwork(self.config)

    def fakes(
        self,
        network: PGGANNetwork,
        n: int,
        size: int,
        draws: torch.Generator,
        *,
        fade: float,
        mixing: float,
    ) -> Float[Tensor, "n 3 size size"]:
        """Images at a size; the family has no w, so ``mixing`` has nothing to mix."""
        device = next(network.parameters()).device
        z = torch.randn(n, self.config.z_size, generator=draws).to(device)
        return network(z, resolution=size, fade=fade)
