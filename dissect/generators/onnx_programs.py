"""ONNX generators: programs run by onnxruntime, whose layers can be read but not edited.

The runtime is an extra (``pip install 'gan-dissection[onnx]'``). It runs operations of the ONNX
standard, no custom ones, on the CPU. Properties that a program does not state are found by running
it:

- **image**: the output that is 1, 3 or 4 square maps, channels first or last;
- **z**: the one input of floats; standard normal, of the shape that the file declares;
- **label**: an input of integers, whose classes are the rows that it selects; or an input of one
  weight for each class, called ``label``, ``class``, ``c`` or ``y``. An input without any values
  (classes of an unconditional generator) stays empty, ``truncation`` or ``psi`` is 1;
- **layers**: outputs of convolutions, or of a norm that directly follows one, and further maps
  among the outputs, under the file's names. They are added to the outputs of the program;
- **range**: the file's metadata ``image_range`` (``-1,1``, ``0,1`` or ``0,255``). Without it, four
  samples decide: [0, 1] if all values are in it, [0, 255] if all values are in that and some exceed
  2, otherwise [-1, 1].

Samples are run one by one, each in one thread, several at a time. So their bits depend neither on
the batch nor on the number of threads, and programs exported for a fixed batch work.

References:
    ONNX, onnx.proto3: messages of one field that follow each other are merged, so outputs can be
    added by appending a graph that has nothing else.
"""

import hashlib
import math
import mmap
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import CheckpointError, GeneratorError
from dissect.generators.base import check_conversion
from dissect.generators.labels import class_vectors
from dissect.generators.reading.bounds import Refusal
from dissect.generators.reading.programs import TYPES, Node, Program, Value, read_program
from dissect.generators.shapes import LayerInfo
from dissect.generators.weights import Part
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent, standard_normal
from segmenters.base import hash_tensors

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_NORMS = (
    "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization",
)  # fmt: skip
_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
     "Multinomial"}
)  # fmt: skip
_LOOPS = frozenset({"Loop", "Scan"})
_FLOATS = (torch.float32, torch.float16, torch.float64)
_LABEL = re.compile(r"c|y|.*label.*|.*class.*|.*cond.*|.*one_?hot.*", re.IGNORECASE)
_SCALE = re.compile(r".*trunc.*|.*psi.*", re.IGNORECASE)
_IMAGE = re.compile(r".*image.*|.*img.*|.*rgb.*|.*sample.*", re.IGNORECASE)
_RANGES = {"-1,1": (1.0, 0.0), "0,1": (2.0, -1.0), "0,255": (2 / 255, -1.0)}
_PROBES = 4
_LONGEST_NAME = 200
NOT_EDITABLE = "an ONNX program is run as a whole; give the weights that it was exported from"


@dataclass(frozen=True)
class _Entry:
    """The inputs of a program.

    Args:
        z: The latent's input.
        label: The classes' input, if there is one.
        n_classes: Number of classes; 0 without a label.
        ones, empty: Further inputs, which are all 1 or have no values.
        batch: Number of samples per call.
    """

    z: Value
    label: Value | None
    n_classes: int
    ones: tuple[Value, ...]
    empty: tuple[Value, ...]
    batch: int

    def feed(self, z: np.ndarray, classes: np.ndarray | None) -> dict[str, np.ndarray]:
        """Inputs of one sample, repeated if the program takes a larger batch.

        Args:
            z: Latent of one sample, without the batch dimension.
            classes: Its weight of each class.
        """
        given = {self.z.name: self._repeat(self.z, z)}
        for value in self.ones:
            given[value.name] = np.ones([n or 1 for n in value.shape or ()], _numpy(value))
        for value in self.empty:
            given[value.name] = np.zeros((self.batch, *_sizes(value)), _numpy(value))
        if self.label is not None and classes is not None:
            shape = self.label.shape or ()
            if TYPES[self.label.kind] in _FLOATS:
                given[self.label.name] = self._repeat(self.label, classes)
            else:
                index = np.full([n or self.batch for n in shape], classes.argmax())
                given[self.label.name] = index.astype(_numpy(self.label))
        return given

    def _repeat(self, value: Value, one: np.ndarray) -> np.ndarray:
        return np.repeat(one[None], self.batch, axis=0).astype(_numpy(value))


def _sizes(value: Value) -> tuple[int, ...]:
    """Sizes of a value without the batch; ``_find_entry`` rejects inputs with unknown sizes."""
    return tuple(n for n in (value.shape or ())[1:] if n is not None)


def _run(session: Any, names: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Compute some values of a program from its inputs."""
    return session.run(names, feed)


def _numpy(value: Value) -> np.dtype:
    return torch.empty(0, dtype=TYPES[value.kind]).numpy().dtype


class _Runner(nn.Module):
    """Runs a program; ``outputs`` receives the outputs of its layers, where hooks can read them."""

    def __init__(self, session: Any, entry: _Entry, image: str, layers: Sequence[str]) -> None:
        super().__init__()
        self.session, self.entry, self.image, self.layers = session, entry, image, tuple(layers)
        self.outputs = nn.ModuleList(nn.Identity() for _ in layers)

    def forward(self, z: Tensor, classes: Tensor | None) -> Tensor:
        heard = [i for i, output in enumerate(self.outputs) if output._forward_hooks]
        names = [self.image, *(self.layers[i] for i in heard)]
        feeds = [
            self.entry.feed(z[i].numpy(), None if classes is None else classes[i].numpy())
            for i in range(len(z))
        ]
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            found = list(pool.map(lambda feed: _run(self.session, names, feed), feeds))
        stacked = [
            torch.from_numpy(np.concatenate([of_sample[k][:1] for of_sample in found]))
            for k in range(len(names))
        ]
        for i, maps in zip(heard, stacked[1:], strict=True):
            self.outputs[i](maps.float())
        return stacked[0].float()


class OnnxGenerator(ZOnlyGenerator[_Runner]):
    """A program behind the ``Generator`` protocol; see the head of this module."""

    not_editable = NOT_EDITABLE

    def __init__(
        self,
        runner: _Runner,
        *,
        name: str,
        shape: tuple[int, ...],
        layers: Mapping[str, LayerInfo],
        channels: int,
        last: bool,
        image_range: tuple[float, float],
        n_parameters: int,
        fingerprint: str,
    ) -> None:
        super().__init__(
            runner.eval(),
            name=name,
            z_shape=_sizes(runner.entry.z),
            fingerprint=fingerprint,
            n_classes=runner.entry.n_classes,
        )
        self.layers, self._last = dict(layers), last
        self.channels, self.image_size = channels, shape[1]
        self._range, self.n_parameters = image_range, n_parameters

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch channels height width"]:
        """Images in [-1, 1]; ``noise`` has no effect.

        Raises:
            GeneratorError: a latent that requires gradients, which a program does not have, or one
                for which the program fails.
        """
        check_conversion(self, latent, latent.space)
        if torch.is_grad_enabled() and latent.data.requires_grad:
            raise GeneratorError(
                f"a latent that requires gradients was given to {self.name}, an ONNX program; "
                "expected a latent without; give the weights it was exported from"
            )
        classes = class_vectors(latent, n_classes=self.n_classes, name=self.name)
        z = self._z(latent).detach().cpu()
        try:
            image = self.module(z, None if classes is None else classes.detach().cpu())
        except Exception as error:  # onnxruntime's errors have no common class
            raise GeneratorError(
                f"{self.name} cannot be run ({_first_line(error)}); export it again"
            ) from error
        image = image.permute(0, 3, 1, 2) if self._last else image
        scale, shift = self._range
        return image[:, : self.channels].contiguous() * scale + shift


def matches(part: Part) -> bool:
    """Whether the file is an ONNX program."""
    return part.whole.container == "onnx"


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> OnnxGenerator:
    """Load the generator of a program.

    Raises:
        CheckpointError: a program that is not a generator, draws random numbers, holds loops, or
            fails in onnxruntime; or onnxruntime is not installed.
        GeneratorError: another device than the CPU.
    """
    path = part.path
    part.ledger.used.update(part.tensors)
    if torch.device(device).type != "cpu":
        raise GeneratorError(
            f"{path} is an ONNX program, which cannot run on {device}; expected the device cpu"
        )
    try:
        import onnxruntime  # noqa: PLC0415, an extra
    except ImportError as error:
        raise CheckpointError(
            f"{path} is an ONNX program, which needs onnxruntime to run; it is not installed; "
            "pip install 'gan-dissection[onnx]'"
        ) from error
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        program = read_program(data, path.parent)
        _check_operations(program)
        entry = _find_entry(program)
        candidates = _candidates(program)
        declared = [value.name for value in program.outputs]
        added = [value for value in candidates if value not in declared]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(path.parent.resolve())
        )
        try:
            session = onnxruntime.InferenceSession(
                bytes(data) + _graph_of_outputs(added), options, ["CPUExecutionProvider"]
            )
            names, shape = [*declared, *added], _sizes(entry.z)
            z = standard_normal(range(_PROBES), seed=0, size=math.prod(shape))
            classes = np.eye(max(entry.n_classes, 1), dtype="float32")[0]
            feeds = [entry.feed(one.reshape(shape).numpy(), classes) for one in z]
            first = dict(zip(names, _run(session, names, feeds[0]), strict=True))
            image, last = _find_image(program, first, entry.batch)
            images = [first[image], *(_run(session, [image], feed)[0] for feed in feeds[1:])]
        except Refusal:
            raise
        except Exception as error:  # onnxruntime's errors have no common class
            raise Refusal(
                f"is an ONNX program that onnxruntime {onnxruntime.__version__} cannot run "
                f"({_first_line(error)}); export it again"
            ) from error
    except Refusal as refusal:
        raise CheckpointError(f"{path} {refusal}") from refusal
    maps = {
        value: first[value].shape
        for value in candidates
        if value != image and _is_map(first[value], entry.batch)
    }
    layers = {
        _layer_name(value, i): LayerInfo(units, height, width, f"outputs.{i}")
        for i, (value, (_, units, height, width)) in enumerate(maps.items())
    }
    shape = first[image].shape[1:]
    shape = (shape[2], *shape[:2]) if last else shape
    return OnnxGenerator(
        _Runner(session, entry, image, list(maps)),
        name=name,
        shape=shape,
        layers=layers,
        channels=min(shape[0], 3),
        last=last,
        image_range=_find_range(program, images),
        n_parameters=sum(t.numel() for t in part.whole.tensors.values() if t.is_floating_point()),
        fingerprint=hash_tensors(part.whole.tensors, "onnx", hashlib.sha256(data).hexdigest()),
    )


def _check_operations(program: Program) -> None:
    if program.kinds & _RANDOM:
        raise Refusal(
            f"draws random numbers as it runs ({', '.join(sorted(program.kinds & _RANDOM))}), so "
            "its images are never the same twice; export it with constant noise"
        )
    if program.kinds & _LOOPS:
        raise Refusal(
            f"holds loops ({', '.join(sorted(program.kinds & _LOOPS))}), which may run for ever "
            "and which a generator does not need; export it without"
        )


def _find_entry(program: Program) -> _Entry:
    """Assign a role to each input."""
    latents, labels, ones, empty, odd = [], [], [], [], []
    for value in program.inputs:
        kind, shape = TYPES.get(value.kind), value.shape
        if shape is None or kind not in (*_FLOATS, torch.int64, torch.int32):
            odd.append(value)
        elif 0 in shape[1:]:
            empty.append(value)
        elif kind not in _FLOATS:
            (labels if all(n == 1 for n in shape[1:]) else odd).append(value)
        elif _SCALE.fullmatch(value.name) and all(n in (None, 1) for n in shape):
            ones.append(value)
        elif len(shape) == 2 and shape[1] and _LABEL.fullmatch(value.name):
            labels.append(value)
        elif len(shape) >= 2 and None not in shape[1:]:
            latents.append(value)
        else:
            odd.append(value)
    if len(latents) != 1 or len(labels) > 1 or odd:
        listed = ", ".join(
            f"{value.name[:40]} {list(value.shape or ())}" for value in program.inputs[:6]
        )
        raise Refusal(
            f"is an ONNX program with the inputs {listed or 'none'}; expected one latent of "
            "floats with a fixed size, and at most one label; wrap it as package.module:factory"
        )
    label, n_classes = (labels or [None])[0], 0
    if label is not None and TYPES[label.kind] in _FLOATS:
        n_classes = _sizes(label)[0]
    elif label is not None:
        n_classes = _count_rows(program, label)
    return _Entry(latents[0], label, n_classes, tuple(ones), tuple(empty), latents[0].shape[0] or 1)


def _count_rows(program: Program, label: Value) -> int:
    """Number of rows of the table that a label of integers selects from."""
    same = {label.name}  # the label in other shapes and types
    for node in program.nodes:
        if node.kind in ("Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Identity"):
            same |= set(node.outputs) if node.inputs[:1] and node.inputs[0] in same else set()
        if node.kind == "Gather" and len(node.inputs) == 2 and node.inputs[1] in same:
            table = program.tensors.get(node.inputs[0])
            if table is not None and table.shape:
                return table.shape[0]
    raise Refusal(
        f"is an ONNX program with an input of integers, {label.name[:40]!r}, which chooses no row "
        "of a table; expected a label; wrap it as package.module:factory"
    )


def _candidates(program: Program) -> list[str]:
    """Values that may be layers, in the order in which they are computed."""
    users: dict[str, list[Node]] = {}
    for node in program.nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    declared = {value.name for value in program.outputs}

    def alone(name: str) -> Node | None:
        following = users.get(name, [])
        return following[0] if len(following) == 1 and name not in declared else None

    def ends(name: str) -> bool:
        """Whether only activations lie between it and an output."""
        for _ in program.nodes:
            follower = alone(name)
            if follower is None or len(follower.inputs) != 1:
                break
            name = follower.outputs[0]
        return name in declared

    found: dict[str, None] = {}
    for node in program.nodes:
        if not node.outputs:
            continue
        value = node.outputs[0]
        if node.kind in _CONVOLUTIONS:
            follower = alone(value)
            if follower is not None and follower.kind in _NORMS:
                value = follower.outputs[0]
            if not ends(value):
                found[value] = None
        for output in node.outputs:
            if output in declared:
                found[output] = None
    if not found.keys() - declared:
        every = [output for node in program.nodes for output in node.outputs[:1]]
        found = dict.fromkeys(name for name in every if name not in program.tensors)
    return [name for name in found if name]


def _graph_of_outputs(names: Sequence[str]) -> bytes:
    """A model whose graph has only these outputs (fields 7, 12, 1)."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2]) + _encode_varint(len(content)) + content

    outputs = b"".join(field(12, field(1, name.encode())) for name in names)
    return field(7, outputs) if names else b""


def _encode_varint(value: int) -> bytes:
    encoded = []
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _is_map(found: object, batch: int) -> bool:
    return (
        isinstance(found, np.ndarray)
        and found.ndim == 4
        and found.shape[0] == batch
        and found.dtype.kind == "f"
        and found.size > 0
    )


def _find_image(program: Program, found: Mapping[str, np.ndarray], batch: int) -> tuple[str, bool]:
    """Name of the image output, and whether its channels come last."""
    images = {}
    for value in program.outputs:
        image = found[value.name]
        shape = image.shape
        if image.ndim != 4 or shape[0] != batch or image.dtype.kind not in "fu":
            continue
        if shape[1] in (1, 3, 4) and shape[2] == shape[3]:
            images[value.name] = (shape[2], False)
        elif shape[3] in (1, 3, 4) and shape[1] == shape[2]:
            images[value.name] = (shape[1], True)
    if not images:
        shapes = ", ".join(
            f"{value.name[:40]} {list(found[value.name].shape)}" for value in program.outputs[:4]
        )
        raise Refusal(
            f"is an ONNX program that puts out {shapes}; expected square images (batch, 1 or 3, "
            "size, size)"
        )
    named = [name for name in images if _IMAGE.fullmatch(name)] or list(images)
    best = max(named, key=lambda name: images[name][0])
    return best, images[best][1]


def _find_range(program: Program, images: Sequence[np.ndarray]) -> tuple[float, float]:
    """Factor and offset that scale images to [-1, 1]."""
    declared = str(program.about.get("metadata/image_range", "")).replace(" ", "").strip("[]()")
    if declared in _RANGES:
        return _RANGES[declared]
    low = min(float(image.min()) for image in images)
    high = max(float(image.max()) for image in images)
    if images[0].dtype.kind == "u" or (low >= 0 and 2 < high <= 255):
        return _RANGES["0,255"]
    return _RANGES["0,1" if low >= 0 and high <= 1 else "-1,1"]


def _layer_name(value: str, index: int) -> str:
    """The file's name, or a generated one if it cannot be typed."""
    good = value.isprintable() and "," not in value and value.strip() == value != "all"
    return value if good and len(value) <= _LONGEST_NAME else f"output{index}"


def _first_line(error: Exception) -> str:
    text = str(error).split("] :", 1)[-1].strip().splitlines() or [type(error).__name__]
    return " ".join(text[0].split())[:200]
