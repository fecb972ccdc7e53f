"""The discrete autoencoder of DALL-E: an image as a grid of codes from a small vocabulary.

The encoder gives every place of the grid a logit for each code. The decoder makes an image from one
code per place. In training a code is a soft choice, the Gumbel-softmax at temperature τ,

    y = softmax((l + g) / τ),   g = −log(−log u),   u uniform on (0, 1)

which is differentiable and becomes one-hot as τ goes to 0. After training, the code with the
largest logit is used.

References:
    Ramesh et al., Zero-Shot Text-to-Image Generation, ICML 2021, section 2.1.
    Jang, Gu and Poole, Categorical Reparameterization with Gumbel-Softmax, ICLR 2017.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import ConfigError

_REDUCTION = 8  # sides of the image per side of the grid
_FIRST_SPREAD = 4.0  # initial spread of logits; flat ones have no information on the image


@dataclass(frozen=True)
class VAEConfig:
    """Sizes of a discrete autoencoder.

    Args:
        size: Height and width of images in pixels, a multiple of 8.
        n_codes: Number of codes in the vocabulary.
        widths: Channels at a half, a quarter and an eighth of the size.
        channels: 3 for RGB, 1 for grey.
    """

    size: int = 64
    n_codes: int = 512
    widths: tuple[int, int, int] = (48, 96, 160)
    channels: int = 3

    def __post_init__(self) -> None:
        if self.size % _REDUCTION or self.size < _REDUCTION:
            raise ConfigError(
                f"size is {self.size}; expected a multiple of {_REDUCTION}, such as 64"
            )

    @property
    def grid(self) -> int:
        """Height and width of the grid of codes."""
        return self.size // _REDUCTION


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), the identity at the start of training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(width, width, 3, padding=1)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv1.weight)

    def forward(self, maps: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        return maps + self.conv1(functional.relu(self.conv0(functional.relu(maps))))


class Up(nn.Module):
    """Twice the size: four output pixels are first channels of one pixel."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 4 * out, 3, padding=1)

    def forward(self, maps: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch out h2 w2"]:
        return functional.pixel_shuffle(self.conv(functional.relu(maps)), 2)


class Decoder(nn.Module):
    """Codes → image; its parts are the layers for dissection."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        half, quarter, eighth = config.widths
        self.codes = nn.Conv2d(config.n_codes, eighth, 1)
        self.res0, self.res1 = Residual(eighth), Residual(eighth)
        self.up0, self.res2 = Up(eighth, quarter), Residual(quarter)
        self.up1 = Up(quarter, half)
        self.image = Up(half, config.channels)

    def forward(self, codes: Float[Tensor, "batch code h w"]) -> Float[Tensor, "batch c size size"]:
        maps = self.res1(self.res0(self.codes(codes)))
        return self.image(self.up1(self.res2(self.up0(maps))))


class DiscreteVAE(nn.Module):
    """Encoder and decoder; see the module docstring.

    Example:
        >>> DiscreteVAE(VAEConfig(size=16)).tokens(torch.zeros(1, 3, 16, 16)).shape
        torch.Size([1, 2, 2])
    """

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        _, quarter, eighth = config.widths
        logits = nn.Conv2d(eighth, config.n_codes, 1)
        nn.init.normal_(logits.weight, std=_FIRST_SPREAD * eighth**-0.5)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(16 * config.channels, quarter, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(quarter, eighth, 4, stride=2, padding=1),
            Residual(eighth),
            nn.GroupNorm(1, eighth),
            logits,
        )
        self.decoder = Decoder(config)

    def tokens(self, images: Float[Tensor, "batch c size size"]) -> Int[Tensor, "batch h w"]:
        """The code at each place of images in [-1, 1]."""
        return self.encoder(images).argmax(dim=1)

    def one_hot(self, tokens: Int[Tensor, "batch h w"]) -> Float[Tensor, "batch code h w"]:
        """Codes as input of the decoder."""
        return functional.one_hot(tokens, self.config.n_codes).movedim(-1, 1).float()

    def decode(self, tokens: Int[Tensor, "batch h w"]) -> Float[Tensor, "batch c size size"]:
        """Images of codes, in [-1, 1] except for overshoot of the network."""
        return self.decoder(self.one_hot(tokens))

    def soften(
        self,
        logits: Float[Tensor, "batch code h w"],
        *,
        temperature: float,
        draws: torch.Generator | None = None,
    ) -> Float[Tensor, "batch code h w"]:
        """A soft choice of codes, the Gumbel-softmax.

        Args:
            logits: Logits of the encoder.
            temperature: τ > 0.
            draws: Random generator; None takes torch's own.
        """
        uniform = torch.rand(logits.shape, generator=draws).clamp_(1e-9, 1 - 1e-7)
        gumbel = -(-uniform.log()).log()
        return ((logits.float() + gumbel.to(logits.device)) / temperature).softmax(dim=1)
