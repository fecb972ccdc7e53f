"""Applies edits to a generator's forward passes, inside a ``with``.

    with intervene(generator, [Move("w", direction, 2.0), Ablate("b16.conv1", [3, 7])]):
        images = generator.synthesize(latent)

Moves change the latent that ``synthesize`` receives, when its conversion z → w → w+ → s reaches
their space; moves in one space act in the given order. During the ``with``, ``synthesize`` of this
one generator is replaced; ``sample`` and ``convert`` do not change.

Edits of units, and moves in a layer, change the layer's output, in the given order. So all later
operations (modulation by styles, noise, the next layers) read the edited output. A ``trace``
entered inside records edited outputs, one around it records the network's own.

Both end with the ``with``, also after an exception; an empty list changes nothing.

In another basis, with u = encode(x) and u' the edited u, the layer outputs decode(u') plus the
remainder x − decode(u) that the basis cannot represent inside the region, and x elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from itertools import combinations, groupby
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.bases import NO_BASES, Basis, LayerSpec, layer_info, open_bases
from dissect.edits.edit import Edit
from dissect.edits.moves import Move
from dissect.edits.regions import overlaps, pool
from dissect.edits.unit_edits import Ablate, Insert, UnitEdit
from dissect.errors import ConfigError, GeneratorError, LayerError
from dissect.generators.base import Generator, LayerInfo, check_editable
from dissect.latents import Latent
from dissect.latents.sampling import PROBE_STREAMS, stream
from dissect.tracing import check_map, resolve_layers
from segmenters.nearest import did_you_mean

Hook = Callable[[nn.Module, tuple[object, ...], object], Tensor]
"""A forward hook that replaces the output of its module."""


@contextmanager
def intervene(
    generator: Generator, edits: Sequence[Edit], *, bases: Mapping[str, Basis] = NO_BASES
) -> Iterator[None]:
    """Apply edits; see the module docstring.

    Args:
        generator: Any generator that lists layers.
        edits: Edits of units of any layers, and moves of the latent.
        bases: ``layer@basis`` → its basis, from ``Run.basis``. Rotations and autoencoders need
            none; principal components were fitted to a run and do.

    Raises:
        GeneratorError: edits of units of a generator whose layers can only be read, a move in a
            space or layer that the generator lacks; inside the ``with``, a latent in a later
            space.
        LayerError: a layer or unit that the generator does not have.
        ConfigError: edits that contradict each other, a basis without ``decode``, or a vector that
            does not fit its space.

    Example:
        >>> with intervene(generator, [Insert("units", [0], [1.0])]):
        ...     images = generator.synthesize(generator.sample([0], seed=0))
    """
    opened = check_edits(generator, edits, bases=bases)
    moves: list[Move] = []
    in_layers: dict[str, list[UnitEdit | Move]] = {}
    for edit in edits:
        if isinstance(edit, UnitEdit):
            layer = LayerSpec.parse(edit.layer, generator.layers).layer
            in_layers.setdefault(layer, []).append(edit)
        elif isinstance(edit, Move) and edit.space in generator.spaces:
            moves.append(edit)
        elif isinstance(edit, Move):
            in_layers.setdefault(edit.space, []).append(edit)
    handles = []
    try:
        for layer, own in in_layers.items():
            info = generator.layers[layer]
            steps = _steps(own, opened, info)
            module = generator.module.get_submodule(info.module)
            handles.append(module.register_forward_hook(_rewrite(layer, info, steps)))
        with _moving(generator, moves):
            yield
    finally:
        for handle in handles:
            handle.remove()


def check_edits(
    generator: Generator, edits: Sequence[Edit], *, bases: Mapping[str, Basis] = NO_BASES
) -> dict[str, Basis]:
    """Raise an error for edits that cannot be applied; return the bases that they need.

    Raises:
        GeneratorError, LayerError, ConfigError: see ``intervene``.
    """
    for edit in edits:
        if isinstance(edit, Move):
            check_move(generator, edit)
    own = [edit for edit in edits if isinstance(edit, UnitEdit)]
    if own:
        check_editable(generator)
    opened: dict[str, Basis] = {}
    for layer in dict.fromkeys(edit.layer for edit in own):
        spec = LayerSpec.parse(layer, generator.layers)
        resolved = resolve_layers(generator, layer)
        if len(resolved) != 1 or spec.layer not in generator.layers:
            raise LayerError(f"an edit names the layer {layer!r}; expected one layer")
        if spec.basis is not None:
            opened[layer] = _open_basis(generator, layer, resolved[0], bases)
    for edit in own:
        n_units = layer_info(generator, edit.layer, opened).units
        if max(edit.units) >= n_units:
            raise LayerError(
                f"unit {max(edit.units)} is not in {edit.layer}; expected 0 to {n_units - 1}"
            )
    for first, second in combinations(own, 2):
        _check_pair(first, second)
    return opened


def move_latent(generator: Generator, latent: Latent, moves: Sequence[Move]) -> Latent:
    """The latent after moves, in the last space of the moves.

    Moves act in the order of the generator's spaces; moves in one space act in the given order.

    Args:
        generator: Generator that converts the latent between spaces.
        latent: A latent in any of its spaces.
        moves: Moves in spaces to which the latent can be converted.

    Raises:
        GeneratorError: a space that the generator lacks, or that the latent cannot reach.
        ConfigError: a vector or layers that do not fit the space.
    """
    for move in moves:
        check_move(generator, move)
        if move.space not in generator.spaces:
            raise GeneratorError(
                f"a move in layer {move.space!r} was applied to a latent; expected a move in "
                f"{', '.join(generator.spaces)}; intervene moves what layers put out"
            )
    for space in generator.spaces:
        for move in moves:
            if move.space == space:
                latent = move.apply(generator.convert(latent, space))
    return latent


@contextmanager
def _moving(generator: Generator, moves: Sequence[Move]) -> Iterator[None]:
    """Within the ``with``, ``synthesize`` of this one object first moves its latent."""
    if not moves:
        yield
        return
    plain = generator.synthesize
    # An attribute of the object itself, such as the moves of an outer ``with``.
    before = vars(generator).get("synthesize")

    @wraps(plain)
    def moved(latent: Latent, **options: Any) -> Tensor:
        return plain(move_latent(generator, latent, moves), **options)

    vars(generator)["synthesize"] = moved
    try:
        yield
    finally:
        if before is None:
            del vars(generator)["synthesize"]
        else:
            vars(generator)["synthesize"] = before


def check_move(generator: Generator, move: Move) -> None:
    """Raise an error if a move does not fit a generator.

    Raises:
        GeneratorError: a space or layer that it lacks, or a layer that can only be read.
        ConfigError: a vector or layers of w+ that do not fit.
    """
    if move.space in generator.spaces:
        shape = generator.spaces[move.space].shape
        nothing = Latent(move.space, torch.empty(0, *shape))
        nothing.step(np.asarray(move.vector), layers=move.layers)
    elif move.space in generator.layers:
        check_editable(generator)
        move.check_layer(generator.layers[move.space])
    else:
        raise GeneratorError(
            f"space {move.space!r} is not one of {generator.name}'s; "
            f"{did_you_mean(move.space, generator.layers)}expected "
            f"{', '.join(generator.spaces)}, or one of its layers; dissect inspect lists them"
        )


def _open_basis(
    generator: Generator, layer: str, spec: LayerSpec, bases: Mapping[str, Basis]
) -> Basis:
    basis = bases.get(layer) or bases.get(str(spec)) or open_bases(generator, [spec]).get(str(spec))
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


def _check_pair(first: UnitEdit, second: UnitEdit) -> None:
    """Raise an error if two edits set the same unit to different values at the same place."""
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

    edits: tuple[UnitEdit, ...]
    masks: tuple[Float[Tensor, "height width"], ...]
    basis: Basis | None

    @classmethod
    def of(cls, edits: list[UnitEdit], opened: Mapping[str, Basis], info: LayerInfo) -> "_Step":
        grid = (info.height, info.width)
        masks = tuple(torch.from_numpy(pool(edit.region, grid)) for edit in edits)
        if info.margin:  # a region at the image's border extends into the margin
            masks = tuple(
                nn.functional.pad(mask[None, None], [info.margin] * 4, mode="replicate")[0, 0]
                for mask in masks
            )
        return cls(tuple(edits), masks, opened.get(edits[0].layer))

    def __call__(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Return a new tensor, because other hooks may hold the layer's output."""
        masks = [mask.to(maps.device, maps.dtype) for mask in self.masks]
        if self.basis is None:
            return self._edit(maps, masks)
        units = self.basis.encode(maps)
        remainder = maps - self.basis.decode(units)
        edited = self.basis.decode(self._edit(units, masks)) + remainder
        # Rounding errors of the basis stay inside the region.
        return torch.where(torch.stack(masks).amax(dim=0) > 0, edited.to(maps.dtype), maps)

    def _edit(
        self, units: Float[Tensor, "batch unit height width"], masks: list[Tensor]
    ) -> Float[Tensor, "batch unit height width"]:
        edited = units.clone()
        for edit, mask in zip(self.edits, masks, strict=True):
            chosen = list(edit.units)
            edited[:, chosen] = edit.apply(edited[:, chosen], mask)
        return edited


@dataclass(frozen=True)
class _MoveStep:
    """A move of a layer's output."""

    move: Move
    info: LayerInfo

    def __call__(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        return self.move.apply_to_maps(maps, self.info)


def _steps(
    edits: Sequence[UnitEdit | Move], opened: Mapping[str, Basis], info: LayerInfo
) -> list[_Step | _MoveStep]:
    """Steps for one layer, in the given order; neighbours in one basis are joined."""
    steps: list[_Step | _MoveStep] = []
    for is_move, same in groupby(edits, key=lambda edit: isinstance(edit, Move)):
        if is_move:
            steps += [_MoveStep(edit, info) for edit in same if isinstance(edit, Move)]
            continue
        units = [edit for edit in same if isinstance(edit, UnitEdit)]
        for _, alike in groupby(units, key=lambda edit: edit.layer):
            steps.append(_Step.of(list(alike), opened, info))
    return steps


def _rewrite(layer: str, info: LayerInfo, steps: Sequence[_Step | _MoveStep]) -> Hook:
    def hook(module: nn.Module, inputs: tuple[object, ...], output: object) -> Tensor:
        maps = check_map(layer, info, output)
        for step in steps:
            maps = step(maps)
        return maps

    return hook


@torch.no_grad()
def check_reach(generator: Generator, layers: Sequence[str], *, seed: int) -> None:
    """Raise an error for layers whose output does not affect the image.

    Generates two samples with and without strong noise on all units of a layer.

    Args:
        generator: Any generator.
        layers: ``layer`` or ``layer@basis``.
        seed: Seed of the samples and the noise.

    Raises:
        GeneratorError: a generator whose layers can only be read.
        LayerError: noise in a layer does not change any bit of the image.
    """
    check_editable(generator)
    latent = generator.sample([0, 1], seed=seed)
    before = generator.synthesize(latent)
    specs = (LayerSpec.parse(text, generator.layers) for text in layers)
    for layer in dict.fromkeys(spec.layer for spec in specs):
        info = generator.layers[layer]

        def disturb(module: nn.Module, inputs: tuple[object, ...], output: object) -> Tensor:
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
                f"no edit of layer {layer!r} reaches the image of {generator.name}; "
                "expected a layer that the image is made from; dissect inspect lists the others"
            )
