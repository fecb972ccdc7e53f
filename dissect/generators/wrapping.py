"""Any custom network as a generator: one forward pass finds its layers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import DissectError, GeneratorError
from dissect.generators.base import check_conversion
from dissect.generators.ranges import check_range, scale_images
from dissect.generators.shapes import LayerInfo
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent
from segmenters.base import hash_tensors

Select = str | int | Callable[[Any], Tensor]
Call = Callable[[nn.Module, Tensor, Tensor | None], Any]


class WrappedGenerator(ZOnlyGenerator[nn.Module]):
    """Any network that reads z; follows the ``Generator`` protocol. See ``wrap``."""

    def __init__(
        self,
        module: nn.Module,
        draw: Callable[[Sequence[int], int], Tensor] | None,
        shape: tuple[int, ...],
        layers: Sequence[str] | None,
        name: str,
        *,
        output: Select | None = None,
        n_classes: int = 0,
        label: str | None = None,
        call: Call | None = None,
        image_range: tuple[float, float] | None = None,
    ) -> None:
        settings = {
            "output": _describe(output), "n_classes": n_classes or None, "label": label,
            "call": _describe(call), "image_range": _other_range(image_range),
        }  # fmt: skip
        given = {key: value for key, value in settings.items() if value is not None}
        super().__init__(
            module.eval().requires_grad_(False),
            name=name,
            z_shape=shape,
            fingerprint=hash_tensors(
                module.state_dict(), "wrapped", repr(module), *([given] if given else [])
            ),
            n_classes=n_classes,
        )
        self._draw, self._output, self._label, self._call = draw, output, label, call
        self._range = image_range
        _check_precision(module, name)
        image, maps = self._probe()
        self.channels, self.image_size, _ = _check_shape(image, name, self._range)
        self.layers = _choose(maps, layers, name)
        if self._range is None:
            check_range(self, GeneratorError)

    @torch.no_grad()
    def _probe(self) -> tuple[Tensor, dict[str, tuple[int, int, int]]]:
        """Two images, and the shape of every map that a module outputs, in the order of calls."""
        shapes: dict[str, tuple[int, int, int]] = {}
        handles = []
        for path, module in self.module.named_modules():

            def note(module: nn.Module, inputs: tuple, output: object, path: str = path) -> None:
                if isinstance(output, Tensor) and output.ndim == 4:
                    _, units, height, width = output.shape
                    shapes[path] = (units, height, width)

            if path:
                handles.append(module.register_forward_hook(note))
        try:
            image = self._run(self.sample([0, 1], seed=0))
        finally:
            for handle in handles:
                handle.remove()
        return image, shapes

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        """Latents of the samples ``indices`` of a seed; see ``Generator.sample``.

        Raises:
            GeneratorError: a label that it lacks, or a ``sample`` function that fails.
        """
        latent = super().sample(indices, seed=seed, label=label)
        if self._draw is None:
            return latent
        data = draw_latents(self._draw, indices, seed, self.name)
        if tuple(data.shape) != (len(indices), *self.spaces["z"].shape):
            raise GeneratorError(
                f"the function that draws latents of {self.name} gave {tuple(data.shape)} for "
                f"{len(indices)} indices; expected {(len(indices), *self.spaces['z'].shape)}"
            )
        return Latent("z", data.to(self.device), latent.label)

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch channels height width"]:
        """Images in [-1, 1]; there are no noise inputs, so ``noise`` has no effect.

        Raises:
            GeneratorError: a latent of another generator, or a network that fails.
        """
        check_conversion(self, latent, latent.space)
        images = self._run(latent)
        scaled = _other_range(self._range)
        return images if scaled is None else scale_images(images.float(), scaled)

    def _run(self, latent: Latent) -> Tensor:
        """The network's images for latents, selected from its output."""
        z = self._z(latent).to(self.device)
        labels = None
        if self.n_classes:
            if latent.label is None:
                raise GeneratorError(
                    f"a latent without labels was given to {self.name}, which has "
                    f"{self.n_classes} classes; expected one for each; use sample(…, label=…)"
                )
            labels = latent.label.to(self.device)
        with own_code(self.name, self._passed(z, labels), _hint):
            if self._call is not None:
                found = self._call(self.module, z, labels)
            elif labels is None:
                found = self.module(z)
            elif self._label is None:
                found = self.module(z, labels)
            else:
                found = self.module(z, **{self._label: labels})
        images = _select(found, self._output, self.name)
        if images.ndim == 4 and len(images) != len(z):
            raise GeneratorError(
                f"{self.name} put out {len(images)} images for {len(z)} latents; expected one for "
                "each; if it takes a list of latents, give call=lambda module, z, label: "
                "module([z])"
            )
        return images

    def _passed(self, z: Tensor, labels: Tensor | None) -> str:
        more = "" if labels is None else f" and {len(labels)} labels"
        return f"{type(self.module).__name__} was called with {tuple(z.shape)} {z.dtype}{more}"


@contextmanager
def own_code(
    name: str, passed: str, hint: Callable[[Exception], str] | None = None
) -> Iterator[None]:
    """Report an exception of the user's own code in one line.

    Args:
        name: Name of the generator.
        passed: The call and its arguments.
        hint: Gives the advice for an exception.

    Raises:
        GeneratorError: the exception, with the original as its cause.
    """
    try:
        yield
    except DissectError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        advice = "" if hint is None else f"; {hint(error)}"
        raise GeneratorError(
            f"{name} failed: {passed} and raised {type(error).__name__}: {reason}{advice}"
        ) from error


def draw_latents(
    draw: Callable[[Sequence[int], int], Tensor], indices: Sequence[int], seed: int, name: str
) -> Tensor:
    """Latents from a user's function.

    Raises:
        GeneratorError: a function that fails, or does not return a tensor.
    """
    with own_code(name, f"the function sample was called with {len(indices)} indices and a seed"):
        data = draw(indices, seed)
    if not isinstance(data, Tensor) or data.ndim < 2:
        found = tuple(data.shape) if isinstance(data, Tensor) else type(data).__name__
        raise GeneratorError(
            f"the function sample of {name} gave {found}; expected a tensor (batch, …)"
        )
    return data


def _hint(error: Exception) -> str:
    text = str(error)
    if isinstance(error, TypeError) and "required positional argument" in text:
        return (
            "if it takes a class, give n_classes=N (and label='NAME' for a keyword); for other "
            "arguments call=lambda module, z, label: module(z, …)"
        )
    if isinstance(error, AttributeError | TypeError | IndexError):
        return (
            "if it takes a list of latents, give call=lambda module, z, label: module([z]); else "
            "check sample="
        )
    return "check sample=, the shape of one latent, or give call=lambda module, z, label: …"


def _select(found: Any, output: Select | None, name: str) -> Tensor:
    """The images in a network's output."""
    if callable(output):
        with own_code(name, f"output= was called with a {type(found).__name__}"):
            found = output(found)
    elif output is not None:
        try:
            if isinstance(output, str) and not isinstance(found, Mapping):
                found = getattr(found, output)
            else:
                found = found[output]
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise GeneratorError(
                f"output={output!r} was given for {name}, which puts out {_name_parts(found)}; "
                "expected one of these"
            ) from error
    if not isinstance(found, Tensor):
        raise GeneratorError(
            f"{name} puts out {_name_parts(found)}; expected images; give {_propose(found)}"
        )
    return found


def _name_parts(found: Any) -> str:
    """Short description of a network's output."""
    if isinstance(found, Mapping):
        return f"a {type(found).__name__} of {', '.join(map(repr, list(found)[:6])) or 'nothing'}"
    if isinstance(found, tuple | list):
        shapes = [
            str(tuple(part.shape)) if isinstance(part, Tensor) else type(part).__name__
            for part in found
        ]
        return f"a {type(found).__name__} of {', '.join(shapes[:6]) or 'nothing'}"
    return f"a {type(found).__name__}"


def _propose(found: Any) -> str:
    """Advice for selecting the images of an output, based on the shapes of its parts."""
    parts: list[tuple[object, object]] = []
    if isinstance(found, Mapping):
        parts = list(found.items())
    elif isinstance(found, tuple | list):
        parts = list(enumerate(found))
    elif hasattr(found, "__dict__"):
        parts = list(vars(found).items())
    images = [
        key for key, p in parts if isinstance(p, Tensor) and p.ndim == 4 and p.shape[1] in (1, 3)
    ]
    return f"output={images[0]!r}" if images else "output=lambda found: …, which gives them"


def _check_precision(module: nn.Module, name: str) -> None:
    kinds = {t.dtype for t in [*module.parameters(), *module.buffers()] if t.is_floating_point()}
    odd = sorted(map(str, kinds - {torch.float32}))
    if odd:
        raise GeneratorError(
            f"{name} has parameters of {', '.join(odd)}; expected torch.float32, in which units "
            "are counted and edited; give module.float()"
        )


def _check_shape(image: Tensor, name: str, image_range: object) -> tuple[int, int, int]:
    size = tuple(image.shape[1:])
    if image.ndim != 4 or size[0] not in (1, 3):
        hint = ""
        if image.ndim == 4 and size[-1] in (1, 3):
            hint = "; give output=lambda images: images.permute(0, 3, 1, 2)"
        elif image.ndim == 4 and size[0] == 4:
            hint = "; give output=lambda images: images[:, :3]"
        elif image.ndim == 3:
            hint = "; give output=lambda images: images[:, None]"
        raise GeneratorError(
            f"{name} put out {size}; expected images (batch, 3 or 1, height, width){hint}"
        )
    if size[1] != size[2]:
        raise GeneratorError(
            f"{name} gives images of {size[1]} × {size[2]}; expected squares; give output=lambda "
            "images: …, which cuts or pads them"
        )
    if not image.is_floating_point() and image_range is None:
        raise GeneratorError(
            f"{name} puts out {image.dtype}; expected numbers in [-1, 1]; give image_range=(0, 255)"
        )
    return size[0], size[1], size[2]


def _other_range(image_range: tuple[float, float] | None) -> tuple[float, float] | None:
    """The range from which images have to be scaled, if any."""
    return None if image_range == (-1, 1) else image_range


def _describe(function: object) -> object:
    """A setting as text that is equal in every process."""
    return getattr(function, "__qualname__", "a function") if callable(function) else function


def _choose(
    maps: Mapping[str, tuple[int, int, int]], layers: Sequence[str] | None, name: str
) -> dict[str, LayerInfo]:
    if layers is None:  # maps of modules without an inner module that outputs a map
        layers = [path for path in maps if not any(p.startswith(f"{path}.") for p in maps)]
    odd = [path for path in layers if path not in maps]
    if odd or not layers:
        raise GeneratorError(
            f"layers of {name} are {odd or 'none'}, which put out no map; expected some of "
            f"{', '.join(list(maps)[:12]) or 'none: no module of it puts out a map'}"
        )
    # Call order is the order from the latent to the image.
    return {
        path: LayerInfo(units, height, width, path)
        for path, (units, height, width) in maps.items()
        if path in layers
    }


def wrap(
    module: nn.Module,
    *,
    sample: int | Sequence[int] | Callable[[Sequence[int], int], Tensor],
    layers: Sequence[str] | None = None,
    name: str = "wrapped",
    output: Select | None = None,
    n_classes: int = 0,
    label: str | None = None,
    image_range: tuple[float, float] | None = None,
    call: Call | None = None,
) -> WrappedGenerator:
    """Turn any network from latents to images into a generator.

    Args:
        module: Called with latents (batch, …), outputs images (batch, 3 or 1, size, size). Put in
            eval mode and frozen. Its parameters are float32.
        sample: Shape of one latent, drawn from the standard normal distribution; or a function of
            (indices, seed) that returns latents (batch, …), the same for an index in any batch.
        layers: Dotted paths of the modules whose maps (batch, unit, height, width) are read; None
            takes every module that outputs a map and has no such module inside.
        name: Name shown to people.
        output: Position of the images in the module's output: a key of a dictionary, an index of
            a tuple, the name of an attribute, or a function that returns them.
        n_classes: Classes that it is conditioned on; their indices are its second argument.
        label: Name of the keyword under which it takes them instead.
        image_range: Lowest and highest value of its images, such as (0, 1). None means [-1, 1],
            which four samples verify.
        call: A function of (module, latents, labels or None) that calls the module, for other
            arguments, such as ``lambda module, z, label: module([z])``.

    Raises:
        GeneratorError: a network that fails or does not output images, images in another range,
            parameters that are not float32, or layers without maps.

    Example:
        >>> net = nn.Sequential(nn.ConvTranspose2d(8, 4, 4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 1))
        >>> wrap(net, sample=(8, 1, 1), layers=["1"]).layers["1"].units
        4
    """
    if not isinstance(module, nn.Module):
        raise GeneratorError(
            f"wrap was given a {type(module).__name__}; expected a torch.nn.Module, whose layers "
            "can be read; give the module that makes the images"
        )
    if image_range is not None and not (len(image_range) == 2 and image_range[0] < image_range[1]):
        raise GeneratorError(
            f"image_range is {image_range}; expected (lowest, highest), such as (0, 1)"
        )
    if label is not None and not n_classes:
        raise GeneratorError(f"label={label!r} was given without n_classes; expected both")
    draw = None
    if callable(sample):
        draw = sample
        shape = tuple(draw_latents(draw, [0], 0, name).shape[1:])
    else:
        shape = (sample,) if isinstance(sample, int) else tuple(sample)
    return WrappedGenerator(
        module, draw, shape, layers, name, output=output, n_classes=n_classes, label=label,
        call=call, image_range=None if image_range is None else (image_range[0], image_range[1]),
    )  # fmt: skip
