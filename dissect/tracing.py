"""Records the outputs of layers while a generator runs.

    with trace(generator, ["main.1", "main.4"]) as maps:
        images = generator.synthesize(latent)
    maps["main.1"]                       # Float[batch unit height width]

The hooks are removed at the end of the ``with``, also after an exception. A second forward pass
inside it replaces the recorded outputs. ``bases`` gives other coordinates for layers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from dissect.bases import NO_BASES, Basis, LayerSpec
from dissect.errors import LayerError
from dissect.generators.base import Generator, LayerInfo
from segmenters.nearest import did_you_mean

_ALL = "all"


def resolve_layers(
    generator: Generator, layers: Sequence[str | LayerSpec] | str
) -> tuple[LayerSpec, ...]:
    """The named layers in the generator's own order; for each one, its bases in the given order.

    Args:
        generator: Any generator.
        layers: Names, ``layer`` or ``layer@basis``; ``all`` means every layer, also in
            ``all@basis``.

    Raises:
        LayerError: a layer that the generator does not have, or no layer.
        ConfigError: an unknown basis, or one with an invalid argument.

    Example:
        >>> [str(spec) for spec in resolve_layers(generator, ["all", "units@rotation:0"])]
        ['units', 'units@rotation:0']
    """
    wanted = [layers] if isinstance(layers, str) else list(layers)
    if not wanted:
        raise LayerError(f"no layer was given; expected some of {', '.join(generator.layers)}")
    found: dict[str, list[LayerSpec]] = {name: [] for name in generator.layers}
    for one in wanted:
        given = one if isinstance(one, LayerSpec) else LayerSpec.parse(one, generator.layers)
        layer = given.layer
        if layer != _ALL and layer not in generator.layers:
            near = did_you_mean(layer, generator.layers)
            hint = near or f"it has {_shorten(generator.layers)}; "
            raise LayerError(
                f"layer {layer!r} is not in {generator.name}; {hint}"
                "dissect inspect GENERATOR lists them"
            )
        for name in generator.layers if layer == _ALL else [layer]:
            spec = LayerSpec(name, given.basis)
            if spec not in found[name]:
                found[name].append(spec)
    return tuple(spec for specs in found.values() for spec in specs)


@contextmanager
def trace(
    generator: Generator,
    layers: Sequence[str | LayerSpec] | str,
    *,
    bases: Mapping[str, Basis] = NO_BASES,
) -> Iterator[Mapping[str, Tensor]]:
    """Record the outputs of layers; see the module docstring.

    Args:
        generator: Any generator.
        layers: Names, ``layer`` or ``layer@basis``, or ``"all"``. A layer that is read in several
            bases is recorded once.
        bases: Basis of each ``layer@basis``.

    Yields:
        name → Float[batch unit height width], filled by each forward pass.

    Raises:
        LayerError: an unknown layer, one whose output differs from its listed shape, or a missing
            basis.

    Example:
        >>> with trace(generator, ["units"]) as maps:
        ...     images = generator.synthesize(generator.sample([0, 1], seed=0))
        >>> maps["units"].shape
        torch.Size([2, 9, 32, 32])
    """
    recorded: dict[str, tuple[Tensor, int]] = {}
    specs = resolve_layers(generator, layers)
    for spec in specs:
        if spec.basis is not None and str(spec) not in bases:
            raise LayerError(
                f"{str(spec)!r} is not what a layer puts out; expected its channels, "
                f"{spec.layer!r}; their basis changes with Basis.encode, or give bases"
            )
    handles = []
    try:
        for name in dict.fromkeys(spec.layer for spec in specs):
            info = generator.layers[name]
            module = generator.module.get_submodule(info.module)
            handles.append(module.register_forward_hook(_keep(recorded, name, info)))
        yield _Recorded(recorded, {str(spec): spec for spec in specs}, bases)
    finally:
        for handle in handles:
            handle.remove()


class _Recorded(Mapping[str, Tensor]):
    """The recorded outputs; raises an error for maps that a later operation overwrote in place."""

    def __init__(
        self,
        recorded: Mapping[str, tuple[Tensor, int]],
        specs: Mapping[str, LayerSpec],
        bases: Mapping[str, Basis],
    ) -> None:
        self._recorded, self._specs, self._bases = recorded, specs, bases

    def __getitem__(self, name: str) -> Tensor:
        spec = self._specs[name]
        tensor, version = self._recorded[spec.layer]
        if tensor._version != version:
            raise LayerError(
                f"the output of layer {spec.layer!r} was overwritten by an operation after it; "
                "expected it to stay; set inplace=False on the activation that follows"
            )
        return tensor if spec.basis is None else self._bases[name].encode(tensor)

    def __iter__(self) -> Iterator[str]:
        return (name for name, spec in self._specs.items() if spec.layer in self._recorded)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def check_map(name: str, info: LayerInfo, output: object) -> Tensor:
    """A layer's output, with its margin, after a check of its shape.

    Raises:
        LayerError: no tensor, or one of another shape.
    """
    expected = (info.units, info.height + 2 * info.margin, info.width + 2 * info.margin)
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(output, Tensor) or output.ndim != 4 or shape[1:] != expected:
        raise LayerError(
            f"layer {name!r} put out {shape}; expected (batch, {', '.join(map(str, expected))})"
        )
    return output


def _keep(
    recorded: dict[str, tuple[Tensor, int]], name: str, info: LayerInfo
) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    def hook(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        maps = check_map(name, info, output)
        m = info.margin
        recorded[name] = (maps[:, :, m : m + info.height, m : m + info.width], maps._version)

    return hook


def _shorten(names: Mapping[str, object], most: int = 8) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")
