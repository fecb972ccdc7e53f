"""Result of an inversion: the latent found for an image, its errors, and its file.

The file is safetensors: ``latent`` (float32) and, if present, ``label`` and noise maps
(``noise/`` and the name of the generator's buffer). The metadata has everything else as JSON, under
``gan-dissection/inversion``. ``Inversion.latent`` works with everything that takes a latent, on the
generator with the same fingerprint; if there are noise maps, inside

    with noise_maps(generator, one.noise):
        images = generator.synthesize(one.latent)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor

from dissect.errors import ConfigError
from dissect.generators.base import Generator, check_belongs
from dissect.latents import Latent
from dissect.runs.replacing import write_named_file
from segmenters.received import parse_json, reading

FORMAT = "gan-dissection/inversion"
SUFFIX = ".safetensors"
_VERSION, _NOISE = 1, "noise/"
_LARGEST_FILE = 256 << 20
_ADVICE = "invert the image again"


@dataclass(frozen=True, eq=False)
class Inversion:
    """The latent found for one image.

    Args:
        latent: One point, in a space that the generator synthesizes from.
        space: Space of the optimisation: that space, or p and p+ for w and w+.
        degradation: Spec of the observed part of the image; ``none`` for all.
        errors: ``mse`` in units of range², ``psnr`` in dB, ``ssim``, and ``perceptual`` with
            features, of G(latent) against the image. For a degraded image only ``mse``, over the
            observed part.
        trace: Loss after each step.
        settings: Its settings: steps, starts, rate, seed.
        generator: Fingerprint of the generator.
        noise: Optimised noise maps, see ``dissect.inversion.noise``.
    """

    latent: Latent
    space: str
    degradation: str
    errors: Mapping[str, float]
    trace: tuple[float, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    generator: str = ""
    noise: Mapping[str, Float[Tensor, "1 1 h w"]] = field(default_factory=dict)

    def check(self, generator: Generator) -> None:
        """Check that a generator is the inversion's own.

        Raises:
            GeneratorError: the generator has another fingerprint.
        """
        advice = "invert the image with this one"
        check_belongs(generator, self.generator, what="inversion", advice=advice)

    def save(self, path: str | Path) -> Path:
        """Write its file atomically.

        Raises:
            ConfigError: another suffix than ``.safetensors``, or a file that cannot be written.
        """
        path = Path(path)
        if path.suffix != SUFFIX:
            raise ConfigError(f"{path} cannot hold an inversion; expected a file NAME{SUFFIX}")
        tensors = {"latent": np.ascontiguousarray(self.latent.data.detach().cpu().numpy(), "<f4")}
        if self.latent.label is not None:
            tensors["label"] = np.ascontiguousarray(self.latent.label.cpu().numpy())
        for name, one in self.noise.items():
            tensors[f"{_NOISE}{name}"] = np.ascontiguousarray(one.cpu().numpy(), "<f4")
        record = {
            "version": _VERSION,
            "latent space": self.latent.space,
            "space": self.space,
            "degradation": self.degradation,
            "errors": dict(self.errors),
            "trace": list(self.trace),
            "settings": dict(self.settings),
            "generator": self.generator,
        }
        content = save(tensors, metadata={FORMAT: json.dumps(record, allow_nan=False)})
        return write_named_file(path, content)


def read_inversion(path: str | Path) -> Inversion:
    """Read a file of ``Inversion.save``; nothing in the file is run.

    Raises:
        ConfigError: a file that is missing, damaged, of another kind or of a newer version.
    """
    path = Path(path)
    with reading(path, ConfigError, _ADVICE):
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(
                f"{path} has more than {_LARGEST_FILE:,} bytes; expected an inversion"
            )
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            names = set(file.keys())
            noise = {name for name in names if name.startswith(_NOISE)}
            if FORMAT not in about or not {"latent"} <= names - noise <= {"latent", "label"}:
                raise ConfigError(
                    f"{path} holds no inversion; expected a file that dissect invert wrote"
                )
            tensors = {name: file.get_tensor(name) for name in names}
        record = parse_json(about[FORMAT])
        version = record["version"]
        if version != _VERSION:
            raise ConfigError(
                f"{path} has the version {version!r}; expected {_VERSION}; a newer version of this "
                "program may read it"
            )
        odd = any(not torch.isfinite(one).all() for one in tensors.values())
        if odd or any(len(one) != 1 for one in tensors.values()):
            raise ConfigError(f"{path} holds no latent of one image; {_ADVICE}")
        return Inversion(
            latent=Latent(str(record["latent space"]), tensors["latent"], tensors.get("label")),
            space=str(record["space"]),
            degradation=str(record["degradation"]),
            errors={str(k): float(v) for k, v in record["errors"].items()},
            trace=tuple(float(v) for v in record["trace"]),
            settings=dict(record["settings"]),
            generator=str(record["generator"]),
            noise={name.removeprefix(_NOISE): tensors[name] for name in sorted(noise)},
        )
