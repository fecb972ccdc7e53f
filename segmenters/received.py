"""Read files from untrusted sources: no code in them runs, and each failure is one line.

    with reading(path, RunError, "make the run again"):
        table = pd.read_parquet(path)

    record = read_json(path, RunError, "make the run again")

A damaged or hostile file may make a library raise anything (``RecursionError``, ``AttributeError``,
``MemoryError`` …); the given error is raised instead, and names the file. Limits are checked before
a file is read: the size and the nesting of JSON, the pixels of an image, the members of a zip file.
Text that could change what a terminal shows is refused or replaced.
"""

import io
import json
import math
import os
import stat
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from segmenters.errors import DissectError
from segmenters.plain_text import find_control, one_line

LARGEST_JSON = 16 << 20
"""Largest JSON file in bytes; its values take up to about thirty times as much memory."""
DEEPEST_JSON = 40
"""Deepest nesting of lists and objects."""
MOST_PIXELS = 64 << 20
"""Most pixels of an image that is decoded, where the caller sets no smaller limit."""
LARGEST_MEMBER = 64 << 20
"""Largest member of a zip file in bytes."""

_LONGEST_REASON = 160
_END = struct.Struct("<4s8xL6x")  # PKWARE, .ZIP File Format, section 4.3.16
_LOCATOR = struct.Struct("<4s16x")  # section 4.3.15
_LONG_END = struct.Struct("<4s36xQ8x")  # section 4.3.14
_LIST_ENTRY = 400  # bytes of a member in the list of members: 46, a name, extra fields


@contextmanager
def reading(what: object, error: type[DissectError], advice: str) -> Iterator[None]:
    """Turn any exception inside into one error line that names the file.

    Args:
        what: The file or folder that is read.
        error: Class of the error; a ``DissectError`` from inside is passed on unchanged.
        advice: What the user should do.
    """
    try:
        yield
    except DissectError:
        raise
    except OSError as cause:
        reason = one_line(cause.strerror or describe(cause))
        raise error(
            f"{what} cannot be read ({reason}); expected a file that can be; {advice}"
        ) from cause
    except Exception as cause:
        raise error(f"{what} is damaged ({describe(cause)}); {advice}") from cause


def describe(cause: BaseException) -> str:
    """An exception as a few words on one line."""
    if isinstance(cause, RecursionError):
        return "it is nested too deep"
    if isinstance(cause, MemoryError):
        return "it asks for more memory than there is"
    text = one_line(str(cause))[:_LONGEST_REASON]
    if isinstance(cause, KeyError):
        return f"it has no {text}"
    plain = type(cause) in (ValueError, zipfile.BadZipFile) or isinstance(cause, OSError)
    return text if plain and text else f"{type(cause).__name__}: {text}".removesuffix(": ")


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a regular file.

    Raises:
        ValueError: something else than a file, or one of more than ``most`` bytes.
        OSError: one that cannot be read.
    """
    # A pipe must not block: it is opened without waiting, and is an error.
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return content


def read_json(
    path: Path, error: type[DissectError], advice: str, *, most: int = LARGEST_JSON
) -> Any:
    """The value in a JSON file.

    Args:
        path: A regular file, in UTF-8.
        error: Raised where the file cannot be read, is not JSON, is larger than ``most`` bytes,
            nested deeper than ``DEEPEST_JSON``, or holds a number that is not finite or text with
            control characters.
        advice: What to do about it.
        most: Largest size in bytes.
    """
    with reading(path, error, advice):
        return parse_json(read_bytes(path, most))


def parse_json(content: bytes | str, *, any_text: bool = False) -> Any:
    """The value of a JSON text, within the limits of ``read_json``.

    Args:
        content: The text, or it in UTF-8.
        any_text: Allow control characters in texts.

    Raises:
        ValueError: no such text.
        RecursionError: one that is nested far too deep.
    """
    # Windows writes a mark before UTF-8.
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as cause:
        raise ValueError(f"it is not JSON: {cause}") from cause
    level = [value]
    for _ in range(DEEPEST_JSON + 1):
        level = [child for one in level for child in _children(one, any_text=any_text)]
        if not level:
            return value
    raise ValueError(f"it is nested deeper than {DEEPEST_JSON} levels")


def _refuse_constant(name: str) -> object:
    raise ValueError(f"it holds {name}, which is not JSON")


def _children(value: object, *, any_text: bool) -> list[object]:
    """The values in a list or an object; a text and the keys of an object are looked at."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number beyond the range of floats")
    if not any_text:
        for text in value if isinstance(value, dict) else [value]:
            _check_text(text)
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _check_text(text: object) -> None:
    control = find_control(text) if isinstance(text, str) else None
    if control is not None:
        raise ValueError(
            f"{one_line(str(text))[:40]!r} in it holds the control character {control}"
        )


def inside(folder: Path, name: str) -> Path:
    """The path of a file inside ``folder`` whose name comes from an untrusted description.

    Raises:
        ValueError: a name that leaves the folder, by itself or through a link.
    """
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or find_control(name) or any(p in ("", ".", "..") or "\\" in p for p in parts):
        raise ValueError(f"it names {one_line(str(name))[:80]!r}, which is not a file inside of it")
    path = folder.joinpath(*parts)
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise ValueError(f"{one_line(name)[:80]!r} in it is a link that leads out of it")
    return path


def open_image(
    content: bytes, *, formats: Sequence[str], most_pixels: int = MOST_PIXELS
) -> Image.Image:
    """Open an image of one of these formats without decoding it.

    Raises:
        ValueError: one of more than ``most_pixels``.
        Exception: what Pillow raises of damaged images, of any kind.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=list(formats))
    except UnidentifiedImageError as cause:
        raise ValueError(f"it is not an image of the format {' or '.join(formats)}") from cause
    if image.width * image.height > most_pixels:
        raise ValueError(
            f"an image of {image.width:,} × {image.height:,} pixels; expected at most "
            f"{most_pixels:,}"
        )
    return image


@contextmanager
def open_stored_zip(path: Path, *, most_members: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip file whose members are stored without compression.

    Raises:
        ValueError: more members than ``most_members``, or a comment behind them. Python reads the
            list of members when it opens a file, so this checks their number before.
        zipfile.BadZipFile, OSError: no zip file.
    """
    n_bytes = _list_bytes(path)
    if n_bytes > most_members * _LIST_ENTRY:
        raise ValueError(f"its list of members takes {n_bytes:,} bytes")
    with zipfile.ZipFile(path) as archive:
        if len(archive.filelist) > most_members:
            raise ValueError(
                f"it has {len(archive.filelist):,} members; expected at most {most_members:,}"
            )
        yield archive


def _list_bytes(path: Path) -> int:
    """Bytes of a zip file's list of members."""
    tail = _LONG_END.size + _LOCATOR.size + _END.size
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - tail))
        found = file.read(tail).rjust(tail, b"\0")
    signature, n_bytes = _END.unpack_from(found, tail - _END.size)
    if signature != b"PK\x05\x06":
        raise ValueError("it does not end as a zip file without a comment")
    (locator,) = _LOCATOR.unpack_from(found, _LONG_END.size)
    if locator == b"PK\x06\x07":  # what Python takes instead, wherever the locator points
        _, n_bytes = _LONG_END.unpack_from(found, 0)
    return n_bytes


def read_member(archive: zipfile.ZipFile, name: str, *, most: int = LARGEST_MEMBER) -> bytes:
    """A member that is not compressed.

    Raises:
        ValueError: one that is compressed, or has more than ``most`` bytes.
        KeyError: none of that name.
        zipfile.BadZipFile: a damaged one.
    """
    found = archive.getinfo(name)
    if found.compress_type != zipfile.ZIP_STORED or found.file_size != found.compress_size:
        raise ValueError(f"its member {name!r} is compressed; expected one that is stored")
    if found.file_size > most:
        raise ValueError(f"its member {name!r} has {found.file_size:,} bytes")
    return archive.read(found)
