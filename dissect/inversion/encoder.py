"""An encoder: a network that tells an image's latent in w+ at once, where a search takes minutes.

    encoder = find_encoder(generator)
    latent = encoder.encode(images)                                    # w+
    one = invert(generator, images, settings, encoder=encoder)[0]      # hybrid: go on from there

A small residual network halves the image down to 4 × 4 pixels; the deepest map, and the means of
all maps over space, give for each layer of w+ the offset from w̄ in spreads of w (the σ_w of
``coordinates``). It is trained by ``recipes/scenes_encoder`` on images of the generator with their
latents, and on images of its domain through the generator: in-domain, so that what it answers can
be edited like a sample.

An encoder is of one generator: its file carries the fingerprint, and it is refused with others. The
one that comes with a generator of the zoo lies beside its weights, as ``NAME-encoder.safetensors``.

References:
    Zhu et al., In-Domain GAN Inversion for Real Image Editing, ECCV 2020, section 3.1.
    Richardson et al., Encoding in Style, CVPR 2021 (a vector for each layer, from several depths).
"""

import json
import math
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import Generator, check_belongs
from dissect.generators.zoo import SHIPPED
from dissect.latents import Latent
from dissect.runs.replacing import write_named_file
from segmenters.base import hash_tensors
from segmenters.received import parse_json, reading

FORMAT, SUFFIX = "gan-dissection/encoder", ".safetensors"
_VERSION = 1
_LARGEST_FILE = 64 << 20
_FIRST, _MOST, _SMALLEST = 32, 256, 4  # channels of the first and of the deepest maps; pixels
_HIDDEN = 256
_LARGEST_SIZE, _MOST_NUMBERS = 1024, 1 << 16  # of an image, of w+: limits on a file's own claims
_LEAK = 0.2
_ADVICE = "get or train the encoder again"


class _Down(nn.Module):
    """Two convolutions beside a shortcut, then half the size."""

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
    """Images to offsets from w̄, in spreads of w.

    Args:
        size: Of the images, a power of two from 8.
        channels: Of the images.
        n_layers: Of w+.
        w_size: Of w.
    """

    def __init__(self, *, size: int, channels: int, n_layers: int, w_size: int) -> None:
        super().__init__()
        n_stages = int(math.log2(size / _SMALLEST)) if size > _SMALLEST else 0
        whole = 2**n_stages * _SMALLEST == size and size <= _LARGEST_SIZE
        numbers = 0 < n_layers * w_size <= _MOST_NUMBERS
        if not whole or not n_stages or not numbers or channels not in (1, 3):
            raise GeneratorError(
                f"an encoder was to read images of {size} pixels and {channels} channels for w+ of "
                f"{n_layers} × {w_size}; expected a power of two from 8 to {_LARGEST_SIZE}, 1 or 3 "
                f"channels, and {_MOST_NUMBERS:,} numbers at most"
            )
        self.config = {
            "size": size, "channels": channels, "n_layers": n_layers, "w_size": w_size,
        }  # fmt: skip
        widths = [min(_MOST, _FIRST * 2**k) for k in range(n_stages + 1)]
        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.stages = nn.ModuleList(
            _Down(before, after) for before, after in zip(widths, widths[1:], strict=False)
        )
        self.deep = nn.Linear(widths[-1] * _SMALLEST**2, _HIDDEN)
        self.head = nn.Linear(_HIDDEN + sum(widths[1:]), n_layers * w_size)
        nn.init.zeros_(self.head.weight)  # training begins at w̄
        nn.init.zeros_(self.head.bias)

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch layer w"]:
        x = functional.leaky_relu(self.first(images), _LEAK)
        means = []
        for stage in self.stages:
            x = stage(x)
            means.append(x.mean(dim=(2, 3)))
        deep = functional.leaky_relu(self.deep(x.flatten(1)), _LEAK)
        offsets: Tensor = self.head(torch.cat([deep, *means], dim=1))
        return offsets.unflatten(1, (self.config["n_layers"], self.config["w_size"]))


class Encoder:
    """A trained network with what its answers are offsets from.

    Args:
        network: Its network.
        mean: w̄.
        spread: σ_w, one number for all coordinates.
        generator: Fingerprint of the generator whose latents it tells.
    """

    def __init__(
        self,
        network: EncoderNetwork,
        *,
        mean: Float[Tensor, " w"],
        spread: float,
        generator: str,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.mean, self.spread, self.generator = mean, spread, generator
        state = network.state_dict() | {"mean": mean}
        self.fingerprint = hash_tensors(state, (str(spread), generator))

    def encode(self, images: Float[Tensor, "batch channels size size"]) -> Latent:
        """The latents of images in [-1, 1], in w+; differentiable in the images."""
        return Latent("w+", self.mean + self.spread * self.network(images))

    def check(self, generator: Generator) -> None:
        """Refuse another generator than the encoder's.

        Raises:
            GeneratorError: a generator with another fingerprint.
        """
        advice = "train an encoder for this one, or leave it out"
        check_belongs(generator, self.generator, what="encoder", advice=advice)

    def save(self, path: str | Path) -> Path:
        """Write its file, numbers as float16, whole or not at all.

        Raises:
            ConfigError: another suffix than ``.safetensors``, or a file that cannot be written.
        """
        path = Path(path)
        if path.suffix != SUFFIX:
            raise ConfigError(f"{path} was to hold an encoder; expected a file NAME{SUFFIX}")
        tensors = {name: one.half().contiguous() for name, one in self.network.state_dict().items()}
        tensors["mean"] = self.mean.float().contiguous()
        record = {
            "version": _VERSION, "config": self.network.config, "spread": self.spread,
            "generator": self.generator,
        }  # fmt: skip
        return write_named_file(path, save(tensors, metadata={FORMAT: json.dumps(record)}))


def read_encoder(path: str | Path, *, device: torch.device | str = "cpu") -> Encoder:
    """Read what ``Encoder.save`` wrote; nothing in the file is run.

    Raises:
        ConfigError: a file that is missing, damaged, of another kind or of a newer version.
    """
    path = Path(path)
    with reading(path, ConfigError, _ADVICE):
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{path} has more than {_LARGEST_FILE:,} bytes; expected an encoder")
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if FORMAT not in about:
                raise ConfigError(
                    f"{path} holds no encoder; expected a file that recipes.scenes_encoder wrote"
                )
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        record = parse_json(about[FORMAT])
        if record["version"] != _VERSION:
            raise ConfigError(
                f"{path} has the version {record['version']!r}; expected {_VERSION}; a newer "
                "version of this program may read it"
            )
        names = ("size", "channels", "n_layers", "w_size")
        network = EncoderNetwork(**{name: int(record["config"][name]) for name in names})
        mean = tensors.pop("mean")
        network.load_state_dict(tensors)
        spread = float(record["spread"])
        odd = mean.shape != (network.config["w_size"],) or not spread > 0
        if odd or not all(torch.isfinite(one).all() for one in [mean, *tensors.values()]):
            raise ValueError("its numbers are not those of an encoder")
        return Encoder(
            network.to(device), mean=mean.to(device), spread=spread,
            generator=str(record["generator"]),
        )  # fmt: skip


def encoder_file(generator: Generator) -> Path:
    """Where the encoder of a generator of the zoo lies, if there is one."""
    return SHIPPED / f"{generator.name}-encoder{SUFFIX}"


def find_encoder(generator: Generator) -> Encoder:
    """The encoder that comes with a generator.

    Raises:
        GeneratorError: a generator without one, or other weights than it was trained for.
    """
    path = encoder_file(generator)
    if not path.is_file():
        raise GeneratorError(
            f"{generator.name} has no encoder; expected a generator that comes with one, or the "
            "file of one; recipes.scenes_encoder trains it; leave the encoder out to search"
        )
    found = read_encoder(path, device=generator.device)
    found.check(generator)
    return found
