"""``package.module:predict``: a function of images, or a factory of a whole predictor.

    def predict(images):                 # Float[Tensor, "batch 3 height width"], RGB in [-1, 1]
        return images.mean(dim=(2, 3))   # a value for each image, or one for each attribute

    predict.attributes = ("red", "green", "blue")

A function without arguments is a factory: it returns an object with the ``Predictor`` protocol. A
function of images is the predictor itself. ``predict.attributes`` lists its attributes; without it,
the attribute has the function's name, numbered if there are several.
"""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from segmenters.base import Predictor
from segmenters.errors import SegmenterError
from segmenters.factory import call_factory, import_target
from segmenters.images import check_images
from segmenters.plain_text import one_line

_PROBE = 64  # pixels of the image used to find the number of values


class FunctionPredictor:
    """A ``Predictor`` from a function.

    Args:
        function: Takes images, returns one value per image or one per attribute.
        name: Spec with which it was loaded.
        device: Device of its images.

    Raises:
        SegmenterError: a function that fails on an image, or returns something else.
    """

    def __init__(
        self, function: Callable[[Tensor], Any], *, name: str, device: torch.device | str = "cpu"
    ) -> None:
        self.function, self.name, self.device = function, name, torch.device(device)
        listed = getattr(function, "attributes", None)
        n_values = None
        if listed is None:
            n_values = self._call(torch.zeros(1, 3, _PROBE, _PROBE, device=self.device)).shape[1]
            own = getattr(function, "__name__", "value")
            listed = [own] if n_values == 1 else [f"{own} {k}" for k in range(n_values)]
        self.attributes = _check_names(listed, name)
        self.fingerprint = _fingerprint(function, name, self.attributes)

    def predict(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch attribute"]:
        """Values of the function; differentiable if the function is.

        Args:
            images: RGB in [-1, 1].

        Raises:
            SegmenterError: a function that fails, or returns another number of values.
        """
        check_images(images, self.device, name=self.name)
        values = self._call(images)
        if values.shape[1] != len(self.attributes):
            raise SegmenterError(
                f"{self.name} gave {values.shape[1]} values for an image; expected "
                f"{len(self.attributes)}: {', '.join(self.attributes)[:200]}"
            )
        return values

    def _call(self, images: Tensor) -> Float[Tensor, "batch value"]:
        try:
            given = self.function(images)
        except Exception as cause:
            raise SegmenterError(
                f"{self.name} was called with images of the shape {tuple(images.shape)} and raised "
                f"{type(cause).__name__}: {one_line(str(cause))[:200]}; "
                "the error is in that function"
            ) from cause
        try:
            values = given if isinstance(given, Tensor) else torch.from_numpy(np.asarray(given))
            values = values.to(self.device, torch.float32)
        except (TypeError, ValueError, RuntimeError) as cause:
            raise SegmenterError(
                f"{self.name} gave a {type(given).__name__}; expected a tensor or an array of "
                "shape (batch, attribute)"
            ) from cause
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != len(images) or values.shape[1] == 0:
            raise SegmenterError(
                f"{self.name} gave values of the shape {tuple(values.shape)} for {len(images)} "
                f"images; expected ({len(images)},) or ({len(images)}, attribute)"
            )
        return values


def load_function(spec: str, device: torch.device | str = "cpu") -> Predictor:
    """Load the predictor from ``package.module:NAME``.

    Raises:
        SegmenterError: nothing that can be imported or called, or the errors of
            ``FunctionPredictor``.
    """
    target = import_target(spec, error=SegmenterError)
    if callable(target) and _takes_images(target):
        return FunctionPredictor(target, name=spec, device=device)
    return call_factory(spec, protocol=Predictor, error=SegmenterError)


def _takes_images(target: Callable[..., Any]) -> bool:
    """Whether the call needs an argument."""
    if inspect.isclass(target):
        return False
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (
        p.VAR_POSITIONAL, p.VAR_KEYWORD)]  # fmt: skip
    return bool(needed)


def _check_names(listed: Any, name: str) -> tuple[str, ...]:
    names = tuple(listed) if isinstance(listed, (list, tuple)) else ()
    if not names or not all(isinstance(n, str) and n for n in names) or len({*names}) < len(names):
        raise SegmenterError(
            f"{name} lists the attributes {listed!r}; expected different names in a tuple"
        )
    return tuple(one_line(n) for n in names)


def _fingerprint(function: Any, name: str, attributes: tuple[str, ...]) -> str:
    """Hash of the file with the function; files that it loads are not included."""
    digest = hashlib.sha256(f"{name}|{attributes}".encode())
    try:
        digest.update(Path(inspect.getfile(inspect.unwrap(function))).read_bytes())
    except (TypeError, OSError):
        digest.update(repr(type(function)).encode())
    return digest.hexdigest()
