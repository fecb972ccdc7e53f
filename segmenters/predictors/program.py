"""``FILE.onnx``: a custom network as an ONNX program, run by onnxruntime.

The runtime is an extra (``pip install 'gan-dissection[onnx]'``); it runs operations of the ONNX
standard, no custom ones. The program has one input, images of floats, and its first output is one
value per image or one per attribute. Properties that the file does not state have these defaults;
its metadata (``metadata_props``) can change them:

================  ==========  =====================================================================
metadata          without it  meaning
================  ==========  =====================================================================
``attributes``    the name    names of the values, separated by commas
                  of the file
``image_range``   ``-1,1``    what black and white are: ``-1,1``, ``0,1`` or ``0,255``
``mean``          ``0,0,0``   subtracted from each channel after that, in the same range
``std``           ``1,1,1``   each channel is divided by it then
================  ==========  =====================================================================

If the input has a fixed size, images are resized bilinearly, with antialiasing when reduced.
Channels come first, or last if the input's last side is 3. There are no gradients.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from segmenters.errors import SegmenterError
from segmenters.images import check_images, resize
from segmenters.plain_text import one_line
from segmenters.received import read_bytes, reading

RANGES = {"-1,1": (1.0, 0.0), "0,1": (0.5, 0.5), "0,255": (127.5, 127.5)}
"""``image_range`` → factor and offset for images in [-1, 1]."""
_LARGEST = 1 << 30  # bytes; limit of a program
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class ProgramPredictor:
    """A ``Predictor`` from an ONNX program; see the module docstring.

    Args:
        session: ``onnxruntime.InferenceSession``.
        name: Spec with which it was loaded.
        fingerprint: SHA-256 of the file.

    Raises:
        SegmenterError: inputs, outputs or metadata of another kind.
    """

    device = torch.device("cpu")

    def __init__(self, session: Any, *, name: str, fingerprint: str) -> None:
        self.session, self.name, self.fingerprint = session, name, fingerprint
        inputs = session.get_inputs()
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        if len(shape) != 4 or inputs[0].type not in _FLOATS or 3 not in (shape[1], shape[3]):
            given = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
            raise SegmenterError(
                f"{name} takes {one_line(given)[:200]}; expected one input of images: floats, "
                "of the shape (batch, 3, height, width) or (batch, height, width, 3)"
            )
        self._input, self._type = inputs[0].name, _FLOATS[inputs[0].type]
        self._channels_last = shape[1] != 3
        sides = shape[1:3] if self._channels_last else shape[2:]
        self._size = tuple(s if isinstance(s, int) else None for s in sides)
        self._batch = shape[0] if isinstance(shape[0], int) else None
        about = session.get_modelmeta().custom_metadata_map
        if about.get("image_range", "-1,1") not in RANGES:
            raise SegmenterError(
                f"{name} has the image_range {about['image_range']!r} in its metadata; expected "
                f"{', '.join(RANGES)}"
            )
        self._factor, self._summand = RANGES[about.get("image_range", "-1,1")]
        self._mean = _numbers(about, "mean", 0.0, name)
        self._std = _numbers(about, "std", 1.0, name)
        n_values = self._run(torch.zeros(1, 3, 64, 64)).shape[1]
        own = Path(name).stem
        default = own if n_values == 1 else ",".join(f"{own} {k}" for k in range(n_values))
        names = [one_line(n) for n in about.get("attributes", default).split(",")]
        if len(names) != n_values or not all(names) or len({*names}) < n_values:
            raise SegmenterError(
                f"{name} gives {n_values} values and lists {len(names)} attributes in its "
                "metadata; expected a name for each, none twice"
            )
        self.attributes = tuple(names)

    def predict(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch attribute"]:
        """Values of the program for each image; without gradients.

        Args:
            images: RGB in [-1, 1].

        Raises:
            SegmenterError: images of a wrong shape, type or device, or a program that fails.
        """
        check_images(images, self.device, name=self.name)
        return self._run(images)

    @torch.no_grad()
    def _run(self, images: Tensor) -> Float[Tensor, "batch value"]:
        height, width = (s or given for s, given in zip(self._size, images.shape[2:], strict=True))
        pixels = resize(images, (height, width), antialias=True) * self._factor + self._summand
        pixels = (pixels - self._mean) / self._std
        if self._channels_last:
            pixels = pixels.permute(0, 2, 3, 1)
        feeds = np.ascontiguousarray(pixels.numpy(), self._type)
        # One image at a time if the program was exported for one, so that the whole batch works.
        step = self._batch or len(feeds)
        parts = [self._call(feeds[k : k + step]) for k in range(0, len(feeds), step)]
        return torch.from_numpy(np.concatenate(parts))

    def _call(self, feed: np.ndarray) -> Float[np.ndarray, "batch value"]:
        n = len(feed)
        missing = (self._batch or n) - n  # a fixed batch is padded
        if missing:
            feed = np.concatenate([feed, np.repeat(feed[-1:], missing, axis=0)])
        try:
            values = np.asarray(self.session.run(None, {self._input: feed})[0], np.float32)
        except Exception as cause:
            raise SegmenterError(
                f"{self.name} failed on images of the shape {feed.shape}: "
                f"{one_line(str(cause))[:160]}; export it again"
            ) from cause
        if values.ndim == 0 or len(values) != len(feed) or values.size == 0:
            raise SegmenterError(
                f"{self.name} gave values of the shape {values.shape} for {len(feed)} images; "
                "expected (batch, attribute)"
            )
        return values.reshape(len(feed), -1)[:n]


def load_program(spec: str) -> ProgramPredictor:
    """Load the predictor from an ONNX file, on the CPU.

    Raises:
        SegmenterError: no runtime, no such file, or the errors of ``ProgramPredictor``.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SegmenterError(
            f"{spec} is an ONNX program, and onnxruntime is not installed; "
            "run: pip install 'gan-dissection[onnx]'"
        ) from error
    with reading(spec, SegmenterError, "expected a program in the ONNX format; export it again"):
        content = read_bytes(Path(spec), _LARGEST)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        digest = hashlib.sha256(content).hexdigest()
        return ProgramPredictor(session, name=spec, fingerprint=digest)


def _numbers(about: Mapping[str, str], key: str, default: float, name: str) -> Tensor:
    words = about[key].split(",") if key in about else [default] * 3
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != 3 or not all(map(math.isfinite, values)) or (key == "std" and 0 in values):
        raise SegmenterError(
            f"{name} has the {key} {about.get(key)!r} in its metadata; expected three numbers"
        )
    return torch.tensor(values)[:, None, None]
