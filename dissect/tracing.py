"""Keeps what layers put out while a generator runs.

    with trace(generator, ["main.1", "main.4"]) as maps:
        images = generator.synthesize(latent)
    maps["main.1"]                       # Float[batch unit height width]

The hooks live as long as the ``with`` and are gone after an exception too. A second forward pass
inside it replaces what the first one left.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from dissect.bases.spec import MARK, BasisSpec, split_layer
from dissect.errors import LayerError
from dissect.generators.base import Generator, LayerInfo
from segmenters.nearest import did_you_mean

_ALL = "all"


def resolve_layers(generator: Generator, layers: Sequence[str] | str) -> tuple[str, ...]:
    """The named layers in the generator's own order, in each the bases in the order given.

    Args:
        generator: Any generator.
        layers: Names, ``layer`` or ``layer@basis``; ``all`` stands for every layer, also in
            ``all@basis``.

    Raises:
        LayerError: a layer that the generator does not have, or none at all.
        ConfigError: an unknown basis, or one without a proper argument.

    Example:
        >>> resolve_layers(generator, ["all", "units@rotation:0"])
        ('units', 'units@rotation:0')
    """
    wanted = [layers] if isinstance(layers, str) else list(layers)
    if not wanted:
        raise LayerError(f"no layer was given; expected some of {', '.join(generator.layers)}")
    asked: dict[str, list[str]] = {name: [] for name in generator.layers}
    for text in wanted:
        layer, basis = split_layer(text, generator.layers)
        if layer != _ALL and layer not in generator.layers:
            near = did_you_mean(layer, generator.layers)
            hint = near or f"it has {_shorten(generator.layers)}; "
            raise LayerError(
                f"layer {layer!r} is not in {generator.name}; {hint}"
                "dissect inspect GENERATOR lists them"
            )
        suffix = "" if basis is None else f"{MARK}{BasisSpec.parse(basis)}"
        for name in generator.layers if layer == _ALL else [layer]:
            if name + suffix not in asked[name]:
                asked[name].append(name + suffix)
    return tuple(text for texts in asked.values() for text in texts)


@contextmanager
def trace(generator: Generator, layers: Sequence[str] | str) -> Iterator[Mapping[str, Tensor]]:
    """Record the outputs of layers, see the head of this module.

    Args:
        generator: Any generator.
        layers: Names from ``generator.layers``, or ``"all"``; in channels, without a basis.

    Yields:
        name → Float[batch unit height width], filled by each forward pass.

    Raises:
        LayerError: an unknown layer, or one whose output is not the map it was listed as.
    """
    recorded: dict[str, Tensor] = {}
    names = resolve_layers(generator, layers)
    for name in names:
        if name not in generator.layers:
            plain = split_layer(name, generator.layers)[0]
            raise LayerError(
                f"{name!r} is not what a layer puts out; expected its channels, {plain!r}; their "
                "basis changes with Basis.encode"
            )
    handles = []
    try:
        for name in names:
            info = generator.layers[name]
            module = generator.module.get_submodule(info.module)
            handles.append(module.register_forward_hook(_keep(recorded, name, info)))
        yield _Recorded(recorded)
    finally:
        for handle in handles:
            handle.remove()


class _Recorded(Mapping[str, Tensor]):
    """What was recorded, refusing maps that a later operation overwrote in place."""

    def __init__(self, recorded: dict[str, Tensor]) -> None:
        self._recorded = recorded

    def __getitem__(self, name: str) -> Tensor:
        tensor, version = self._recorded[name]
        if tensor._version != version:
            raise LayerError(
                f"the output of layer {name!r} was overwritten by an operation after it; expected "
                "it to stay; set inplace=False on the activation that follows"
            )
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._recorded)

    def __len__(self) -> int:
        return len(self._recorded)


def check_map(name: str, info: LayerInfo, output: object) -> Tensor:
    """What a layer put out, with its margin, if it is the map that it was listed as.

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


def _keep(recorded: dict, name: str, info: LayerInfo):  # noqa: ANN202
    def hook(module: nn.Module, inputs: tuple, output: object) -> None:
        maps = check_map(name, info, output)
        m = info.margin
        recorded[name] = (maps[:, :, m : m + info.height, m : m + info.width], maps._version)

    return hook


def _shorten(names: Mapping[str, object], most: int = 8) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")
