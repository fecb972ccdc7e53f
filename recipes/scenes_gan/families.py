"""How each family of generator is built, grown and run in training."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.generators.pggan import PGGANConfig, PGGANNetwork
from dissect.generators.stylegan2 import StyleGAN2Config, StyleGAN2Network

CHANNELS = (96, 96, 64, 32, 16)


class StyleGAN2Family:
    """The style-based network: it grows through its skip outputs, which start at zero."""

    name = "stylegan2"
    judge_channels = CHANNELS
    _MEAN_W_RATE = 0.005  # of the running mean of w, per step

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
        self.config = StyleGAN2Config(
            image_size=4 * 2 ** (len(channels) - 1),
            channels=channels,
            z_size=128,
            w_size=128,
            mapping_depth=4,
            use_noise=False,
        )

    def build(self) -> StyleGAN2Network:
        network = StyleGAN2Network(self.config)
        for size in network.synthesis.resolutions:
            if size > 16:  # a new size adds nothing at first
                nn.init.zeros_(network.synthesis.block(size).torgb.weight)
        return network

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

        The new size's toRGB starts at zero, so ``fade`` has nothing to do.
        """
        config = network.config
        z = torch.randn(2 * n, config.z_size, generator=draws)
        w = network.mapping(z)
        if network.training:
            with torch.no_grad():
                network.mapping.w_avg.lerp_(w.mean(dim=0), self._MEAN_W_RATE)
        n_layers = 2 * (size.bit_length() - 2)
        cut = torch.randint(1, n_layers, (n,), generator=draws)
        mixed = torch.rand(n, generator=draws) < mixing
        cut = torch.where(mixed, cut, config.n_ws)
        first = torch.arange(config.n_ws)[None, :] < cut[:, None]
        ws = torch.where(first[:, :, None], w[:n, None], w[n:, None])
        styles = network.styles(ws, resolution=size)
        return network.synthesis(styles, resolution=size)


class PGGANFamily:
    """The plain chain, with an output layer at each size it grows through."""

    name = "pggan"
    judge_channels = CHANNELS

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
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
        z = torch.randn(n, self.config.z_size, generator=draws)
        return network(z, resolution=size, fade=fade)
