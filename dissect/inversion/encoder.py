"""Encoder: maps an image to a latent in one forward pass; optimisation takes minutes.

    encoder = find_encoder(generator)
    latent = encoder.encode(images)                                    # in encoder.space
    one = invert(generator, images, settings, encoder=encoder)[0]      # hybrid: optimise from there

| space | output | method |
|---|---|---|
| w | one vector for all layers | ALAE's encoder |
| w+ | a vector for each layer | IDinvert |
| s | every style value | GH-Feat (there γ and β of StyleGAN1) |

A small residual network halves the image down to 4 × 4 pixels. The deepest map, and the means of
maps over space, give the offset of each number from its mean, in units of its spread (from
``coordinates``). Numbers are computed in levels, coarse layers first: the first level uses only the
deepest map, each further one also the previous map, and the last one all maps. For w and w+ there
is one level; for s three, of 4, 4 and 6 in 14 of the layers, as published. (A pyramid with linear
laterals and averaged maps is linear in the means of these maps.)

``recipes/scenes_encoder`` trains it on images of the generator with their latents, and on images of
its domain through the generator. This keeps answers in-domain, so they can be edited like samples.
ALAE trains its generator together with the encoder. Here the generator is fixed, and only ALAE's
reciprocity remains, mean (E(G(w)) − w)².

An encoder belongs to one generator: its file has the fingerprint, and other generators are
rejected. The encoder of a generator in the zoo is beside its weights, as
``NAME-encoder.safetensors``.

References:
    Zhu et al., In-Domain GAN Inversion for Real Image Editing, ECCV 2020, section 3.1.
    Richardson et al., Encoding in Style, CVPR 2021 (a vector for each layer, from several depths).
    Xu et al., Generative Hierarchical Features from Synthesizing Images, CVPR 2021, section 3.1.
    Pidhorskyi et al., Adversarial Latent Autoencoders, CVPR 2020, section 4 (reciprocity in w).
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import GeneratorError
from dissect.generators.base import Generator, check_belongs
from dissect.generators.styled import HasStyles
from dissect.generators.zoo import SHIPPED
from dissect.latents import Latent
from dissect.record_file import SUFFIX, RecordFile
from segmenters.base import hash_tensors

SPACES = ("w", "w+", "s")
"""Spaces that encoders support."""
_FIRST, _MOST, _SMALLEST = 64, 192, 4  # channels of first and deepest maps; pixels
_HIDDEN = 256
_LARGEST_SIZE, _MOST_NUMBERS = 1024, 1 << 16  # of an image, of a latent: limits for a file
_MOST_LEVELS = 8
_STYLE_LEVELS = (4 / 14, 8 / 14)  # shares of the style layers where a new level begins
_LEAK = 0.2
_FILE = RecordFile(
    "gan-dissection/encoder",
    holds="an encoder",
    expected="a file that recipes.scenes_encoder wrote",
    advice="get or train the encoder again",
    version=2,
)


class _Down(nn.Module):
    """Two convolutions with a shortcut, then half the size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, before, 3, padding=1)
        self.second = nn.Conv2d(before, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch d i j"]:
        y = functional.leaky_relu(self.first(x), _LEAK)
        y = functional.avg_pool2d(functional.leaky_relu(self.second(y), _LEAK), 2)
        return (y + self.shortcut(functional.avg_pool2d(x, 2))) / math.sqrt(2)


class EncoderNetwork(nn.Module):
    """Maps images to offsets from a latent's mean, in units of its spread.

    Args:
        size: Size of the images, a power of two from 8.
        channels: Channels of the images.
        shape: Shape of a latent in its space.
        levels: Number of latent numbers of each level, in order; None: one level for all.

    Raises:
        GeneratorError: unsupported sizes.
    """

    def __init__(
        self, *, size: int, channels: int, shape: Sequence[int], levels: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        n_stages = int(math.log2(size / _SMALLEST)) - 1 if size > _SMALLEST else -1
        n_numbers = math.prod(shape)
        levels = [n_numbers] if levels is None else list(levels)
        if (
            n_stages < 0
            or 2 ** (n_stages + 1) * _SMALLEST != size
            or size > _LARGEST_SIZE
            or channels not in (1, 3)
            or not 0 < n_numbers <= _MOST_NUMBERS
            or not 1 <= len(levels) <= _MOST_LEVELS
            or min(levels) < 1
            or sum(levels) != n_numbers
        ):
            raise GeneratorError(
                f"an encoder was to read images of {size} pixels and {channels} channels for a "
                f"latent of {' × '.join(map(str, shape))}; expected a power of two from 8 to "
                f"{_LARGEST_SIZE}, 1 or 3 channels, and {_MOST_NUMBERS:,} numbers at most"
            )
        self.config = {
            "size": size, "channels": channels, "shape": list(shape), "levels": levels,
        }  # fmt: skip
        self.shape = tuple(shape)
        widths = [min(_MOST, _FIRST * 2**k) for k in range(n_stages + 1)]
        self.first = nn.Conv2d(4 * channels, widths[0], 3, padding=1)
        self.stages = nn.ModuleList(
            _Down(before, after) for before, after in zip(widths, widths[1:], strict=False)
        )
        self.deep = nn.Linear(widths[-1] * _SMALLEST**2, _HIDDEN)
        self._read = [len(widths) if k == len(levels) - 1 else k + 1 for k in range(len(levels))]
        self.heads = nn.ModuleList(
            nn.Linear(_HIDDEN + sum(widths[-n:]), length)
            for n, length in zip(self._read, levels, strict=True)
        )
        for head in self.heads:  # the untrained output is the mean
            for one in head.parameters():
                nn.init.zeros_(one)

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch *shape"]:
        x = functional.leaky_relu(self.first(functional.pixel_unshuffle(images, 2)), _LEAK)
        means = [x.mean(dim=(2, 3))]
        for stage in self.stages:
            x = stage(x)
            means.append(x.mean(dim=(2, 3)))
        deep = functional.leaky_relu(self.deep(x.flatten(1)), _LEAK)
        found = [
            head(torch.cat([deep, *means[-n:]], dim=1))
            for n, head in zip(self._read, self.heads, strict=True)
        ]
        return torch.cat(found, dim=1).unflatten(1, self.shape)


def style_levels(generator: Generator) -> list[int] | None:
    """Number of style values in each level of an encoder to s; None for a generator without s."""
    if not isinstance(generator, HasStyles):
        return None
    parts = list(generator.style_slices.values())
    if len(parts) <= len(_STYLE_LEVELS):
        return None
    ends = [parts[round(part * len(parts)) - 1].stop for part in _STYLE_LEVELS]
    ends.append(parts[-1].stop)
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


class Encoder:
    """A trained network with the mean and spread of its output.

    Args:
        network: Its network.
        space: Space of its output, one of ``SPACES``.
        mean: Latent for an output of zeros.
        spread: Spread of each number.
        generator: Fingerprint of its generator.
    """

    def __init__(
        self,
        network: EncoderNetwork,
        *,
        space: str,
        mean: Float[Tensor, "*shape"],
        spread: Float[Tensor, "*shape"],
        generator: str,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.space, self.mean, self.spread, self.generator = space, mean, spread, generator
        state = network.state_dict() | {"mean": mean, "spread": spread}
        self.fingerprint = hash_tensors(state, (space, generator))

    def encode(self, images: Float[Tensor, "batch channels size size"]) -> Latent:
        """The latents of images in [-1, 1], in its space; differentiable in the images."""
        return Latent(self.space, self.mean + self.spread * self.network(images))

    def check(self, generator: Generator) -> None:
        """Check that a generator is the encoder's own.

        Raises:
            GeneratorError: the generator has another fingerprint.
        """
        advice = "train an encoder for this one, or leave it out"
        check_belongs(generator, self.generator, what="encoder", advice=advice)

    def save(self, path: str | Path) -> Path:
        """Write its file atomically, with float16 numbers.

        Raises:
            ConfigError: another suffix than ``.safetensors``, or a file that cannot be written.
        """
        tensors = {name: one.half() for name, one in self.network.state_dict().items()}
        tensors |= {"mean": self.mean.float(), "spread": self.spread.float()}
        record = {
            "config": self.network.config, "space": self.space, "generator": self.generator,
        }  # fmt: skip
        arrays = {name: one.cpu().numpy() for name, one in tensors.items()}
        return _FILE.write(path, arrays, record)


def read_encoder(path: str | Path, *, device: torch.device | str = "cpu") -> Encoder:
    """Read a file of ``Encoder.save``; nothing in the file is run.

    Raises:
        ConfigError: a file that is missing, damaged, of another kind or of a newer version.
    """
    record, halves = _FILE.read(path)
    with _FILE.reading(path):
        tensors = {name: torch.from_numpy(one).float() for name, one in halves.items()}
        config, space = record["config"], record["space"]
        network = EncoderNetwork(
            size=int(config["size"]), channels=int(config["channels"]),
            shape=[int(n) for n in config["shape"]], levels=[int(n) for n in config["levels"]],
        )  # fmt: skip
        mean, spread = tensors.pop("mean"), tensors.pop("spread")
        network.load_state_dict(tensors)
        whole = mean.shape == spread.shape == network.shape and bool((spread > 0).all())
        if not whole or space not in SPACES:
            raise ValueError("its numbers are not those of an encoder")
        return Encoder(
            network.to(device), space=space, mean=mean.to(device), spread=spread.to(device),
            generator=str(record["generator"]),
        )  # fmt: skip


def encoder_name(generator: Generator, space: str = "w+") -> str:
    """The file name of a generator's encoder."""
    kind = "" if space == "w+" else f"-{space}"
    return f"{generator.name}-encoder{kind}{SUFFIX}"


def find_encoder(generator: Generator, space: str = "w+") -> Encoder:
    """The encoder that comes with a generator.

    Raises:
        GeneratorError: a generator without one, or other weights than it was trained for.
    """
    path = SHIPPED / encoder_name(generator, space)
    if not path.is_file():
        raise GeneratorError(
            f"{generator.name} has no encoder to {space}; expected a generator that comes with "
            "one, or the file of one; recipes.scenes_encoder trains it; leave the encoder out to "
            "search"
        )
    found = read_encoder(path, device=generator.device)
    found.check(generator)
    return found
