"""Reads a file of weights without running any code from it.

Five containers, and folders of them, are supported: safetensors, which holds no code; files of
``torch.save``; its format of before 2020; plain pickles, such as NVIDIA's; and ONNX. Pickles are
programs, but nothing in them is called or imported here: see ``dissect.generators.reading``.

Tensors get flat names. Names of nested dictionaries are joined with ``/``, so that
``{"netG_state_dict": {"main.0.weight": …}}`` gives ``netG_state_dict/main.0.weight``. A pickled
torch module is a group like a dictionary, with the names of its ``state_dict()``:
``G_ema/synthesis.b4.const``. If the file itself is a module, its names have no group.
"""

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from dissect.errors import CheckpointError
from dissect.generators.reading.bounds import Allowance, Refusal, check_count, damaged
from dissect.generators.reading.flattening import flatten
from dissect.generators.reading.folders import open_folder
from dissect.generators.reading.programs import load_tensor, read_program
from dissect.generators.reading.streams import read_stream
from dissect.generators.reading.zipped import read_zip
from segmenters.received import parse_json, reading

CONVERTED = "gan-dissection/checkpoint"
"""The format of safetensors files whose metadata hold the attributes of another file."""
_HEAD = 512
_OTHER_KINDS = (
    # First bytes of a file, and its description in the error
    (b"", b"ustar", 257, "is a tar archive, or torch's format of before 2017; unpack it, or save"
     " the weights again with a later torch"),
    (b"\x1f\x8b", b"", 0, "is compressed (gzip); unpack it first"),
    (b"\x28\xb5\x2f\xfd", b"", 0, "is compressed (zstandard); unpack it first"),
    (b"\xfd7zXZ", b"", 0, "is compressed (xz); unpack it first"),
    (b"7z\xbc\xaf", b"", 0, "is compressed (7z); unpack it first"),
    (b"\x89HDF", b"", 0, "is a file of HDF5 (Keras); convert its weights to safetensors first"),
    (b"\x93NUMPY", b"", 0, "is an array of numpy; save the weights with safetensors instead"),
    (b"version https://git-lfs", b"", 0, "is a pointer of git LFS, not the file; run git lfs pull"),
    (b"<", b"", 0, "is a page of the web; the download gave no file of weights; get it again"),
)  # fmt: skip
_OTHER_SUFFIXES = {
    ".pb": "is a program of TensorFlow; convert its weights to safetensors first",
    ".tflite": "is a program of TensorFlow; convert its weights to safetensors first",
}


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file.

    Attributes:
        path: The file or folder.
        container: ``safetensors``, ``torch``, ``torch legacy``, ``pickle``, ``onnx`` or ``folder``.
        tensors: On the CPU, under flat names.
        attributes: Plain values (numbers, text, None, lists of up to 64 of them) under the same
            names: ``G_ema/img_resolution``, ``G_ema/synthesis.b8.conv0.up``, ``args/latent``.
            The class of an object is its ``__class__``: ``G_ema/synthesis.b4.__class__`` is
            ``torch_utils.persistence:SynthesisBlock``. For a safetensors file they are its
            metadata, for a folder the contents of its ``config.json``. Small tensors that a module
            has besides its parameters and buffers are lists here. Nothing has checked them.
        globals: Every class and function that the file names, in order of first appearance.
    """

    path: Path
    container: str
    tensors: Mapping[str, Tensor]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    globals: tuple[str, ...] = ()

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of each dictionary or module in the file: its name → its state."""
        found: dict[str, dict[str, Tensor]] = {}
        for name, tensor in self.tensors.items():
            group, _, key = name.rpartition("/")
            found.setdefault(group, {})[key] = tensor
        return found


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint. Memory and time are bounded by the size of the file.

    Args:
        path: A file in one of the containers, with any suffix, or a folder that holds one.

    Raises:
        CheckpointError: a missing or damaged file, one in an unsupported container, or one that
            uses features that weights do not need.
    """
    path = Path(path)
    with reading(path, CheckpointError, "get it again"):
        try:
            return _read(path)
        except Refusal as refusal:
            raise CheckpointError(f"{path} {refusal}") from refusal


def _read(path: Path) -> Checkpoint:
    if path.is_dir():
        found = _read_folder(path)
    elif path.is_file():
        found = _read_file(path)
    else:
        raise Refusal("is not a file; expected a checkpoint; check the path")
    check_count(len(found.tensors))
    return found


def _read_file(path: Path) -> Checkpoint:
    size = path.stat().st_size
    if size == 0:
        raise Refusal("is empty; expected a checkpoint; get it again")
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if path.suffix == ".safetensors" or head[8:10] == b'{"':
            return _read_safetensors(path)
        _refuse_other_kinds(path, head)
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if path.suffix == ".onnx":
        return _read_onnx(path, data)
    container = "torch"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        content, reader = read_zip(data)
    else:
        content, container, reader = read_stream(data)
    tensors, attributes = flatten(content, reader.allowance)
    if not tensors:
        raise Refusal("holds no tensors; expected a generator's weights")
    return Checkpoint(path, container, tensors, attributes, tuple(reader.globals))


def _refuse_other_kinds(path: Path, head: bytes) -> None:
    for start, later, at, reason in _OTHER_KINDS:
        if head.startswith(start) and head.startswith(later, at):
            raise Refusal(reason)
    if path.suffix in _OTHER_SUFFIXES:
        raise Refusal(_OTHER_SUFFIXES[path.suffix])


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            check_count(len(file.keys()))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            attributes = file.metadata() or {}
    except (SafetensorError, OSError, TypeError, ValueError, RuntimeError, LookupError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise Refusal(f"is not a whole safetensors file ({reason}); get it again") from error
    if attributes.get("format") == CONVERTED:
        try:
            attributes = dict(parse_json(attributes["attributes"], any_text=True))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise Refusal("has damaged attributes in its metadata; convert it again") from error
    return Checkpoint(path, "safetensors", tensors, attributes)


def _read_onnx(path: Path, data: memoryview) -> Checkpoint:
    program = read_program(data, path.parent)
    allowance = Allowance(len(data) + sum(f.stat().st_size for f in program.files.values()))
    tensors = {name: load_tensor(stored, allowance) for name, stored in program.tensors.items()}
    kinds = tuple(dict.fromkeys(node.kind for node in program.nodes))
    attributes = dict(program.about)
    for side, values in (("inputs", program.inputs), ("outputs", program.outputs)):
        attributes |= {f"{side}/{value.name}": list(value.shape or ()) for value in values}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    return Checkpoint(path, "onnx", kept, attributes, kinds)


def _read_folder(path: Path) -> Checkpoint:
    folder = open_folder(path)
    tensors: dict[str, Tensor] = {}
    attributes: dict[str, object] = {}
    named: dict[str, None] = {}
    for file, wanted in folder.weights.items():
        found = read(file)
        missing = (wanted or frozenset()) - found.tensors.keys()
        if missing:
            raise damaged(f"{file.name} lacks {min(missing)[:80]!r}, which the index places there")
        tensors |= {k: v for k, v in found.tensors.items() if wanted is None or k in wanted}
        named |= dict.fromkeys(found.globals)
        if found.container != "safetensors":
            attributes |= found.attributes
    more, config = flatten(folder.config, Allowance(0))
    return Checkpoint(path, "folder", tensors | more, attributes | config, tuple(named))
