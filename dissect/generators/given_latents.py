"""A generator with the user's own latents as its samples: ``GENERATOR?latents=FILE``.

    scenes-stylegan2?latents=projected.npz
    scenes-stylegan2?latents=w:points.npy

Sample i is row i of the file, for any seed. Nothing in the file is run:

==============  ===================================================================================
``.npy``        one array (sample, …)
``.npz``        the array named after the space (``w`` also for w+), or the only one
other           safetensors, or what ``torch.save`` writes: one tensor, or one of several, chosen
                as in ``.npz``
==============  ===================================================================================

The shape decides the space, such as (sample, 10, 512) for w+. Where it fits several, such as z and
w of equal length, write the space before the file. Earlier spaces are not available: a generator
over w has no z.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import GeneratorError
from dissect.generators.base import Generator, check_conversion
from dissect.generators.notebook import ShownGenerator
from dissect.generators.shapes import LayerInfo, Space
from dissect.latents import Latent
from segmenters.base import hash_tensors
from segmenters.received import reading

OPTION = "?latents="
_LARGEST = 4 << 30  # bytes of the arrays of an npz
_ADVICE = "save it again with numpy.save, numpy.savez, safetensors or torch.save"
_NAMES = {"z": "z", "p": "p", "w": "w", "ws": "w", "w_plus": "w", "s": "s", "latent": ""}
"""Name of an array → its space or that space's layered kind, by shape; "" means any."""


def add_latents(spec: str, latents: str | None) -> str:
    """Spec of a generator with the latents of a file.

    Args:
        spec: Spec of the generator.
        latents: ``FILE`` or ``SPACE:FILE``; None returns the spec unchanged.

    Example:
        >>> add_latents("scenes-stylegan2", "w:points.npy")
        'scenes-stylegan2?latents=w:points.npy'
    """
    return spec if latents is None else f"{spec}{OPTION}{latents}"


class GivenLatents(ShownGenerator):
    """A generator whose samples are given latents; follows the ``Generator`` protocol.

    Args:
        generator: Generator that turns them into images.
        latents: Sample i is row i.
        source: Their origin, for messages.

    Raises:
        GeneratorError: latents that do not fit the generator.
    """

    def __init__(self, generator: Generator, latents: Latent, *, source: str = "latents") -> None:
        check_conversion(generator, latents, latents.space)
        self._generator, self._latents, self._source = generator, latents.to("cpu"), source
        names = list(generator.spaces)
        kept = names[names.index(latents.space) :]
        self.spaces: Mapping[str, Space] = {name: generator.spaces[name] for name in kept}
        self.name = f"{generator.name}{OPTION}{source}"
        self.fingerprint = hash_tensors(
            {"latents": self._latents.data}, "given latents", generator.fingerprint, latents.space
        )

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._latents)

    @property
    def family(self) -> str:
        return self._generator.family

    @property
    def image_size(self) -> int:
        return self._generator.image_size

    @property
    def channels(self) -> int:
        return self._generator.channels

    @property
    def n_classes(self) -> int:
        """Classes act on z alone."""
        return self._generator.n_classes if "z" in self.spaces else 0

    @property
    def layers(self) -> Mapping[str, LayerInfo]:
        return self._generator.layers

    @property
    def module(self) -> nn.Module:
        return self._generator.module

    @property
    def device(self) -> torch.device:
        return self._generator.device

    @property
    def not_editable(self) -> str | None:
        return self._generator.not_editable

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        """Rows of the file; the seed only draws classes, if the generator has any.

        Raises:
            GeneratorError: more samples than there are latents, or a label that does not fit.
        """
        if max(indices, default=0) >= len(self):
            raise GeneratorError(
                f"sample {max(indices)} is not in {self._source}, which holds {len(self)} latents; "
                f"expected samples 0 to {len(self) - 1}; take at most {len(self)} (effects "
                "take some behind the run's own)"
            )
        if self.n_classes:
            label_of = self._generator.sample(indices, seed=seed, label=label).label
        elif label is not None:
            raise GeneratorError(
                f"label {label} was given for latents in {self._latents.space!r}; expected none: a "
                "class acts on z alone"
            )
        else:
            label_of = None
        data = self._latents.data[list(indices)]
        return Latent(self._latents.space, data, label_of).to(self.device)

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """See ``Generator.convert``."""
        return self._generator.convert(latent, space, truncation=truncation, cutoff=cutoff)

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch channels height width"]:
        """See ``Generator.synthesize``."""
        return self._generator.synthesize(latent, noise=noise)


def load_latents(generator: Generator, text: str) -> GivenLatents:
    """Generator whose samples are the latents of a file.

    Args:
        generator: Generator that turns them into images.
        text: ``FILE`` or ``SPACE:FILE``.

    Raises:
        GeneratorError: a file that cannot be read, that holds no latents of this generator, or
            whose latents fit several spaces.
    """
    space, colon, name = text.partition(":")
    if not (colon and space in generator.spaces):
        space, name = "", text
    path = Path(name)
    if not path.exists():
        raise GeneratorError(
            f"latents {text} cannot be read: there is no such file; expected FILE or SPACE:FILE, "
            f"with a space of {', '.join(generator.spaces)}; check the path"
        )
    with reading(path, GeneratorError, _ADVICE):
        arrays = _read(path)
    key = _choose(arrays, space, path)
    data = arrays[key]
    if not (data.dtype.is_floating_point and len(data) and bool(torch.isfinite(data).all())):
        raise GeneratorError(
            f"{path} holds {data.dtype} of the shape {tuple(data.shape)}, or NaN or infinity; "
            "expected finite numbers (sample, …)"
        )
    named = space or _NAMES.get(key.lower().rstrip("+"), "")
    fitting = _fitting(generator, data, named, is_exact=bool(space))
    if len(fitting) != 1:
        if fitting:
            what = f"fits {' and '.join(fitting)}; give SPACE:FILE, such as {fitting[0]}:{path}"
        else:
            kinds = ", ".join(f"{one.name} {one.shape}" for one in generator.spaces.values())
            what = f"fits no space of {generator.name}; expected (sample, …) of {kinds}"
        raise GeneratorError(f"{path} holds latents of the shape {tuple(data.shape)}, which {what}")
    chosen = generator.spaces[fitting[0]]
    latents = Latent(chosen.name, data.float().reshape(len(data), *chosen.shape).contiguous())
    return GivenLatents(generator, latents, source=text)


def _read(path: Path) -> Mapping[str, Tensor]:
    """The arrays of a file by name; a single one may have the name ""."""
    from dissect.generators.checkpoint import read  # noqa: PLC0415, takes long to import

    if path.suffix == ".npy":
        return {"": _tensor(path.read_bytes())}
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST:
                raise ValueError(f"it unpacks to more than {_LARGEST:,} bytes")
            return {
                name.removesuffix(".npy"): _tensor(archive.read(name))
                for name in archive.namelist()
            }
    return read(path).tensors


def _tensor(content: bytes) -> Tensor:
    """The array of a ``.npy`` file, in this machine's byte order."""
    from dissect.generators.reading.npy_files import read_numbers  # noqa: PLC0415

    values = read_numbers(content)
    return torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))


def _choose(arrays: Mapping[str, Tensor], space: str, path: Path) -> str:
    """The name of the array that holds the latents."""
    if len(arrays) == 1:
        return next(iter(arrays))
    named = [name for name in arrays if _NAMES.get(name.lower().rstrip("+")) is not None]
    if space:
        named = [name for name in named if _NAMES[name.lower().rstrip("+")] == space.rstrip("+")]
    if len(named) != 1:
        raise GeneratorError(
            f"{path} holds the arrays {', '.join(map(repr, sorted(arrays)[:8]))}; expected one, or "
            f"one of the names {', '.join(_NAMES)}; give SPACE:FILE, or save the one alone"
        )
    return named[0]


def _fitting(generator: Generator, data: Tensor, space: str, *, is_exact: bool) -> list[str]:
    """Spaces whose shape these latents have.

    Args:
        generator: Generator with the spaces.
        data: All latents.
        space: Name given by the user or the file; "" means any.
        is_exact: Whether ``space`` is exact, or may also mean its layered kind.
    """
    shape = tuple(data.shape[1:])
    allowed = (space,) if is_exact else (space, f"{space}+")
    found = []
    for one in generator.spaces.values():
        trimmed = shape
        if len(one.shape) == 1:  # many programs write a vector as (size, 1, 1) or (1, size)
            trimmed = tuple(size for size in shape if size != 1) or (1,)
        unnamed = not space and not one.name.startswith("p")  # p must be named explicitly
        if trimmed == one.shape and (unnamed or one.name in allowed):
            found.append(one.name)
    return found
