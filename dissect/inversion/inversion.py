"""Result of an inversion: the latent found for an image, its errors, and its file.

The file is safetensors: ``latent`` (float32) and, if present, ``label`` and noise maps
(``noise/`` and the name of the generator's buffer). The metadata has everything else as JSON, under
``gan-dissection/inversion``. ``Inversion.latent`` works with everything that takes a latent, on the
generator with the same fingerprint; if there are noise maps, inside

    with noise_maps(generator, one.noise):
        images = generator.synthesize(one.latent)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.generators.base import Generator, check_belongs
from dissect.latents import Latent
from dissect.record_file import RecordFile

_NOISE = "noise/"  # before the names of noise maps
_FILE = RecordFile(
    "gan-dissection/inversion",
    holds="an inversion",
    expected="a file that dissect invert wrote",
    advice="invert the image again",
    largest=256 << 20,
)


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
        tensors = {"latent": self.latent.data.detach().float()}
        if self.latent.label is not None:
            tensors["label"] = self.latent.label
        tensors |= {f"{_NOISE}{name}": one.float() for name, one in self.noise.items()}
        record = {
            "latent space": self.latent.space,
            "space": self.space,
            "degradation": self.degradation,
            "errors": dict(self.errors),
            "trace": list(self.trace),
            "settings": dict(self.settings),
            "generator": self.generator,
        }
        arrays = {name: one.cpu().numpy() for name, one in tensors.items()}
        return _FILE.write(path, arrays, record)


def read_inversion(path: str | Path) -> Inversion:
    """Read a file of ``Inversion.save``; nothing in the file is run.

    Raises:
        ConfigError: a file that is missing, damaged, of another kind or of a newer version.
    """
    record, arrays = _FILE.read(path, names=_are_names)
    with _FILE.reading(path):
        tensors = {name: torch.from_numpy(one) for name, one in arrays.items()}
        noise = {name for name in tensors if name.startswith(_NOISE)}
        if any(len(one) != 1 for one in tensors.values()):
            raise ValueError("it is of more than one image")
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


def _are_names(names: set[str]) -> bool:
    """Whether tensors of an inversion may have these names."""
    return {"latent"} <= {one for one in names if not one.startswith(_NOISE)} <= {"latent", "label"}
