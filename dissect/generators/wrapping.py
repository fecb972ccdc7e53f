"""Any network of one's own as a generator: what its layers are is found out by running it once."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from dissect.errors import GeneratorError
from dissect.generators.shapes import LayerInfo
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent
from segmenters.base import hash_tensors


class WrappedGenerator(ZOnlyGenerator[nn.Module]):
    """Any network that takes z; follows the ``Generator`` protocol. See ``wrap``."""

    def __init__(
        self,
        module: nn.Module,
        draw: Callable[[Sequence[int], int], Tensor] | None,
        shape: tuple[int, ...],
        layers: Sequence[str] | None,
        name: str,
    ) -> None:
        super().__init__(
            module.eval().requires_grad_(False),
            name=name,
            z_shape=shape,
            fingerprint=hash_tensors(module.state_dict(), "wrapped", repr(module)),
        )
        self._draw = draw
        image, maps = self._probe()
        size = tuple(image.shape[1:]) if isinstance(image, Tensor) else type(image).__name__
        if not isinstance(image, Tensor) or image.ndim != 4 or size[0] not in (1, 3):
            raise GeneratorError(
                f"{name} put out {size}; expected images (batch, 3 or 1, height, width)"
            )
        if size[1] != size[2]:
            raise GeneratorError(f"{name} gives images of {size[1]} × {size[2]}; expected squares")
        self.channels, self.image_size = size[0], size[1]
        self.layers = _choose(maps, layers, name)

    @torch.no_grad()
    def _probe(self) -> tuple[object, dict[str, tuple[int, ...]]]:
        """One image, and the shape of whatever maps modules put out, in the order of calls."""
        shapes: dict[str, tuple[int, ...]] = {}
        handles = []
        for path, module in self.module.named_modules():

            def note(module: nn.Module, inputs: tuple, output: object, path: str = path) -> None:
                if isinstance(output, Tensor) and output.ndim == 4:
                    shapes[path] = tuple(output.shape[1:])

            if path:
                handles.append(module.register_forward_hook(note))
        try:
            image = self.module(self.sample([0, 1], seed=0).data)
        finally:
            for handle in handles:
                handle.remove()
        return image, shapes

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        """Latents of the samples ``indices`` of a seed; see ``Generator.sample``."""
        if self._draw is None or label is not None:  # which refuses labels
            return super().sample(indices, seed=seed, label=label)
        return Latent("z", self._draw(indices, seed).to(self.device))


def _choose(
    maps: Mapping[str, tuple[int, ...]], layers: Sequence[str] | None, name: str
) -> dict[str, LayerInfo]:
    if layers is None:  # maps of modules inside which no other map is made
        layers = [path for path in maps if not any(p.startswith(f"{path}.") for p in maps)]
    odd = [path for path in layers if path not in maps]
    if odd or not layers:
        raise GeneratorError(
            f"layers of {name} are {odd or 'none'}, which put out no map; expected some of "
            f"{', '.join(list(maps)[:12]) or 'none: no module of it puts out a map'}"
        )
    # In the order of calls, which is that from the latent to the image.
    return {path: LayerInfo(*maps[path], path) for path in maps if path in layers}


def wrap(
    module: nn.Module,
    *,
    sample: int | Sequence[int] | Callable[[Sequence[int], int], Tensor],
    layers: Sequence[str] | None = None,
    name: str = "wrapped",
) -> WrappedGenerator:
    """Make a generator of any network that turns latents into images.

    Args:
        module: Called with latents (batch, …), puts out images (batch, 3 or 1, size, size) in
            [-1, 1]. Put in eval mode and frozen.
        sample: Shape of one latent, drawn from the standard normal distribution; or a function of
            (indices, seed) that gives latents (batch, …), the same ones for an index in any batch.
        layers: Dotted paths of the modules whose maps (batch, unit, height, width) are read; None
            takes every module that puts one out and has no such module inside.
        name: What to call it.

    Raises:
        GeneratorError: a network that does not put out images, or layers without maps.

    Example:
        >>> net = nn.Sequential(nn.ConvTranspose2d(8, 4, 4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 1))
        >>> wrap(net, sample=(8, 1, 1), layers=["1"]).layers["1"].units
        4
    """
    if callable(sample):
        return WrappedGenerator(module, sample, tuple(sample([0], 0).shape[1:]), layers, name)
    shape = (sample,) if isinstance(sample, int) else tuple(sample)
    return WrappedGenerator(module, None, shape, layers, name)
