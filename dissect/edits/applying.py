"""Applies edits to a generator's forward passes, inside a ``with``.

    with intervene(generator, [Ablate("b16.conv1", [3, 7])]):
        images = generator.synthesize(latent)

Edits act where a layer's output leaves it, in the order given, so whatever follows (modulation by
styles, noise, the next layers) sees the edited output. Hooks live as long as the ``with`` and are
gone after an exception too; an empty list sets none. A ``trace`` that is entered inside sees edited
outputs, one around it sees what the network put out.

In another basis, with u = encode(x) and u' the edited u, the layer puts out decode(u') plus the
remainder x − decode(u) that the basis cannot hold, where the region is, and x elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, groupby

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.bases import NO_BASES, Basis, layer_info, open_bases, split_layer
from dissect.edits.regions import overlaps, pool
from dissect.edits.unit_edits import Ablate, Edit, Insert
from dissect.errors import ConfigError, LayerError
from dissect.generators.base import Generator, LayerInfo, check_editable
from dissect.latents.sampling import PROBE_STREAMS, stream
from dissect.tracing import check_map, resolve_layers


@contextmanager
def intervene(
    generator: Generator, edits: Sequence[Edit], *, bases: Mapping[str, Basis] = NO_BASES
) -> Iterator[None]:
    """Edit layer outputs, see the head of this module.

    Args:
        generator: Any generator that lists layers.
        edits: Applied in this order, at any layers.
        bases: ``layer@basis`` → its basis, as ``Run.basis`` gives it. Rotations and autoencoders
            need none; principal components were fitted to a run and do.

    Raises:
        GeneratorError: a generator whose layers can only be read.
        LayerError: a layer or unit that the generator does not have.
        ConfigError: edits that contradict each other, or a basis without a way back.

    Example:
        >>> with intervene(generator, [Insert("units", [0], [1.0])]):
        ...     images = generator.synthesize(generator.sample([0], seed=0))
    """
    opened = check_edits(generator, edits, bases=bases)
    plain: dict[str, list[Edit]] = {}
    for edit in edits:
        plain.setdefault(split_layer(edit.layer, generator.layers)[0], []).append(edit)
    handles = []
    try:
        for layer, own in plain.items():
            info = generator.layers[layer]
            steps = [_Step.of(same, opened, info) for same in _by_basis(own)]
            module = generator.module.get_submodule(info.module)
            handles.append(module.register_forward_hook(_rewrite(layer, info, steps)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_edits(
    generator: Generator, edits: Sequence[Edit], *, bases: Mapping[str, Basis] = NO_BASES
) -> dict[str, Basis]:
    """Refuse edits that cannot be applied; returns the bases they need.

    Raises:
        GeneratorError, LayerError, ConfigError: see ``intervene``.
    """
    if edits:
        check_editable(generator)
    opened: dict[str, Basis] = {}
    for layer in dict.fromkeys(edit.layer for edit in edits):
        plain, basis = split_layer(layer, generator.layers)
        resolved = resolve_layers(generator, layer)
        if len(resolved) != 1 or plain not in generator.layers:
            raise LayerError(f"an edit names the layer {layer!r}; expected one layer")
        if basis is not None:
            opened[layer] = _open_basis(generator, layer, resolved[0], bases)
    for edit in edits:
        n_units = layer_info(generator, edit.layer, opened).units
        if max(edit.units) >= n_units:
            raise LayerError(
                f"unit {max(edit.units)} is not in {edit.layer}; expected 0 to {n_units - 1}"
            )
    for first, second in combinations(edits, 2):
        _check_pair(first, second)
    return opened


def _open_basis(
    generator: Generator, layer: str, resolved: str, bases: Mapping[str, Basis]
) -> Basis:
    basis = (
        bases.get(layer) or bases.get(resolved) or open_bases(generator, [resolved]).get(resolved)
    )
    if basis is None:
        raise ConfigError(
            f"the basis of {layer!r} is fitted to a run; expected it in bases; give "
            f"bases={{{layer!r}: run.basis({layer!r})}}"
        )
    if not callable(getattr(basis, "decode", None)):
        raise ConfigError(
            f"the basis of {layer!r} has no way back; expected one with decode, since an edit of "
            "its units has to become channels again"
        )
    return basis


def _check_pair(first: Edit, second: Edit) -> None:
    """Two edits conflict where both fix the same unit, to different values, at the same place."""
    if first.layer != second.layer or not overlaps(first.region, second.region):
        return
    fixed = []
    for edit in (first, second):
        if isinstance(edit, Insert):
            fixed.append(dict(zip(edit.units, edit.values, strict=True)))
        elif isinstance(edit, Ablate) and edit.strength > 0:
            fixed.append(dict.fromkeys(edit.units, 0.0))
        else:
            return
    if not any(isinstance(edit, Insert) for edit in (first, second)):
        return
    for unit, value in fixed[0].items():
        if unit in fixed[1] and fixed[1][unit] != value:
            raise ConfigError(
                f"unit {unit} of {first.layer} is set to {value:g} and to {fixed[1][unit]:g} at "
                "the same place; expected one edit of it there; leave one of the two out"
            )


@dataclass(frozen=True)
class _Step:
    """Consecutive edits of a layer in one basis, ready to be applied."""

    edits: tuple[Edit, ...]
    masks: tuple[Float[Tensor, "height width"], ...]
    basis: Basis | None

    @classmethod
    def of(cls, edits: list[Edit], opened: Mapping[str, Basis], info: LayerInfo) -> "_Step":
        grid = (info.height, info.width)
        masks = tuple(
            torch.ones(grid) if edit.region is None else torch.from_numpy(pool(edit.region, grid))
            for edit in edits
        )
        if info.margin:  # a region that touches the image's border goes on beyond it
            masks = tuple(
                nn.functional.pad(mask[None, None], [info.margin] * 4, mode="replicate")[0, 0]
                for mask in masks
            )
        return cls(tuple(edits), masks, opened.get(edits[0].layer))

    def __call__(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """A new tensor; what the layer put out may be looked at by others."""
        masks = [mask.to(maps.device, maps.dtype) for mask in self.masks]
        if self.basis is None:
            return self._edit(maps, masks)
        units = self.basis.encode(maps)
        remainder = maps - self.basis.decode(units)
        edited = self.basis.decode(self._edit(units, masks)) + remainder
        # Rounding on the way through the basis stays inside the region.
        return torch.where(torch.stack(masks).amax(dim=0) > 0, edited.to(maps.dtype), maps)

    def _edit(
        self, units: Float[Tensor, "batch unit height width"], masks: list[Tensor]
    ) -> Float[Tensor, "batch unit height width"]:
        edited = units.clone()
        for edit, mask in zip(self.edits, masks, strict=True):
            chosen = list(edit.units)
            edited[:, chosen] = edit.apply(edited[:, chosen], mask)
        return edited


def _by_basis(edits: list[Edit]) -> list[list[Edit]]:
    return [list(same) for _, same in groupby(edits, key=lambda edit: edit.layer)]


def _rewrite(layer: str, info: LayerInfo, steps: list[_Step]):  # noqa: ANN202
    def hook(module: nn.Module, inputs: tuple, output: object) -> Tensor:
        maps = check_map(layer, info, output)
        for step in steps:
            maps = step(maps)
        return maps

    return hook


@torch.no_grad()
def check_reach(generator: Generator, layers: Sequence[str], *, seed: int) -> None:
    """Refuse layers whose output never gets to the image.

    Two samples are made with and without strong noise on all of a layer's units.

    Args:
        generator: Any generator.
        layers: ``layer`` or ``layer@basis``.
        seed: Of the samples and the noise.

    Raises:
        GeneratorError: a generator whose layers can only be read.
        LayerError: noise in a layer leaves the image the same bits.
    """
    check_editable(generator)
    latent = generator.sample([0, 1], seed=seed)
    before = generator.synthesize(latent)
    for layer in dict.fromkeys(split_layer(text, generator.layers)[0] for text in layers):
        info = generator.layers[layer]

        def disturb(module: nn.Module, inputs: tuple, output: object) -> Tensor:
            maps = check_map(layer, info, output)  # noqa: B023, called inside the loop only
            noise = stream(seed, PROBE_STREAMS).standard_normal(tuple(maps.shape[1:]))
            noise = torch.from_numpy(noise).to(maps.device, maps.dtype)
            return maps + (1 + maps.abs().amax()) * noise

        handle = generator.module.get_submodule(info.module).register_forward_hook(disturb)
        try:
            reached = not torch.equal(generator.synthesize(latent), before)
        finally:
            handle.remove()
        if not reached:
            raise LayerError(
                f"nothing that is done to layer {layer!r} reaches the image of {generator.name}; "
                "expected a layer that the image is made from; dissect inspect lists the others"
            )
