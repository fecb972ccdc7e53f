"""Messages between server and worker: JSON and byte strings, each after its length.

    length of the header, 4 bytes, big-endian
    header, JSON: {"content": {…}, "parts": [length, …]}
    the parts, one behind the other

No pickle: questions contain plain values only, and a frame's size is checked before reading.
"""

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LARGEST_HEADER = 16 * 1024 * 1024
LARGEST_PARTS = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """Bytes that are not a frame: the other side is broken."""


@dataclass(frozen=True)
class Frame:
    """One message.

    Attributes:
        content: Plain values.
        parts: Files, in an order that the sender knows.
    """

    content: Mapping[str, Any]
    parts: tuple[bytes, ...] = ()


def pack(content: Mapping[str, object], parts: Sequence[bytes] = ()) -> bytes:
    """A frame as bytes; ``read`` reads them.

    Raises:
        ValueError: NaN or infinity, which JSON does not allow.
    """
    header = {"content": content, "parts": [len(part) for part in parts]}
    text = json.dumps(header, ensure_ascii=False, allow_nan=False).encode()
    return b"".join([_LENGTH.pack(len(text)), text, *parts])


def read(take: Callable[[int], bytes]) -> Frame:
    """The next frame.

    Args:
        take: Returns exactly this number of bytes, or raises an error.

    Raises:
        FrameError: not a frame, or one that is too large.
    """
    (length,) = _LENGTH.unpack(take(_LENGTH.size))
    if length > LARGEST_HEADER:
        raise FrameError(f"a header of {length} bytes")
    try:
        header = json.loads(take(length))
        content, lengths = header["content"], header["parts"]
        plain = isinstance(content, dict) and all(type(one) is int and one >= 0 for one in lengths)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FrameError(f"a damaged header ({type(error).__name__})") from error
    if not plain or sum(lengths) > LARGEST_PARTS:
        raise FrameError("a damaged or too large frame")
    return Frame(content, tuple(take(one) for one in lengths))
