"""The counts of ``dissect.statistics.kernel`` on an accelerator, as a kernel of Triton.

Pixels whose codes agree in every set are stored next to each other, in *segments* of a few
thousand. One program takes a segment and a unit. It interpolates the unit's value at each pixel,
compares it with all edges at once, and sums in registers how many are above each edge. Only these
sums are added to the table, by atomic integer additions, so the result does not depend on their
order.

Values are rounded as ``dissect.statistics.resize`` rounds them: in single precision, products
before sums, which is why the two must not be fused (``enable_fp_fusion=False``).

With ``TRITON_INTERPRET=1`` set before Triton is imported the same kernel runs on the processor, a
program at a time in numpy; tests hold it equal to the reference that way. It has not been run on a
GPU.
"""

# Triton has no types; parameters of the kernel are pointers and numbers of its own language.
# pyright: standard

import contextlib
from typing import Any, no_type_check

import numpy as np
import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.groups import GroupedCodes, Segments
from dissect.statistics.resize import cells, taps

_PIXELS = 64
"""Number of pixels that a program compares at a time."""
_SEGMENT = 4096
"""Largest number of pixels of a segment."""


@triton.jit
@no_type_check
def _count_segment(  # noqa: ANN202
    maps, strides_image, strides_unit, strides_row, strides_column,  # noqa: ANN001
    pixels, bounds, codes,  # noqa: ANN001
    row_low, row_high, row_weight, column_low, column_high, column_weight,  # noqa: ANN001
    edges, above,  # noqa: ANN001
    n_units, n_codes, n_edges, area, width,  # noqa: ANN001
    N_SETS: tl.constexpr, PIXELS: tl.constexpr, EDGES: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Add one segment of one unit; increments above[set, code, unit, edge] in place."""
    program = tl.program_id(0)
    segment = program // n_units
    unit = program % n_units
    begin = tl.load(bounds + segment)
    end = tl.load(bounds + segment + 1)
    lane = tl.arange(0, PIXELS)
    edge = tl.arange(0, EDGES)
    # Nothing is above infinity, so edges that only pad the vector count nothing.
    limits = tl.load(edges + unit * n_edges + edge, mask=edge < n_edges, other=float("inf"))
    counts = tl.zeros((PIXELS, EDGES), tl.int32)
    own = maps + unit.to(tl.int64) * strides_unit
    for first in range(begin, end, PIXELS):
        inside = first + lane < end
        pixel = tl.load(pixels + first + lane, mask=inside, other=0)
        image = pixel // area
        y = (pixel % area) // width
        x = pixel % width
        source = own + image.to(tl.int64) * strides_image
        above_row = source + tl.load(row_low + y) * strides_row
        below_row = source + tl.load(row_high + y) * strides_row
        left = tl.load(column_low + x) * strides_column
        right = tl.load(column_high + x) * strides_column
        down = tl.load(row_weight + y)
        across = tl.load(column_weight + x)
        a = tl.load(above_row + left, mask=inside, other=0).to(tl.float32)
        b = tl.load(below_row + left, mask=inside, other=0).to(tl.float32)
        c = tl.load(above_row + right, mask=inside, other=0).to(tl.float32)
        d = tl.load(below_row + right, mask=inside, other=0).to(tl.float32)
        low = a * (1 - down) + b * down
        high = c * (1 - down) + d * down
        value = low * (1 - across) + high * across
        value = tl.where(inside, value, float("-inf"))
        counts += (value[:, None] > limits[None, :]).to(tl.int32)
    total = tl.sum(counts, axis=0)
    for s in tl.static_range(N_SETS):
        code = tl.load(codes + segment * N_SETS + s)
        row = (tl.cast(s, tl.int64) * n_codes + code) * n_units + unit
        tl.atomic_add(above + row * n_edges + edge, total, mask=(edge < n_edges) & (total > 0))


def segments_of(codes: Int[Tensor, "set batch height width"], *, n_codes: int) -> Segments:
    """Sort the pixels by their codes, on the device of the codes."""
    flat = codes.flatten(1).to(torch.int64)
    n_pixels = flat.shape[1]
    key = flat[0].clone()
    for own in flat[1:]:
        key = key * n_codes + own
    key, order = key.sort(stable=True)
    first = torch.ones(n_pixels, dtype=torch.bool, device=key.device)
    first[1:] = key[1:] != key[:-1]
    begins = first.nonzero().flatten()
    ends = torch.cat([begins[1:], begins.new_tensor([n_pixels])])
    parts = (ends - begins + _SEGMENT - 1) // _SEGMENT
    group = torch.repeat_interleave(parts)
    place = torch.arange(len(group), device=key.device) - (parts.cumsum(0) - parts)[group]
    starts = begins[group] + place * _SEGMENT
    bounds = torch.cat([starts, starts.new_tensor([n_pixels])])
    areas = torch.stack([torch.bincount(own, minlength=n_codes) for own in flat])
    return Segments(
        order.to(torch.int32),
        bounds.to(torch.int32),
        flat[:, order[starts]].T.to(torch.int32).contiguous(),
        areas.to(torch.int32),
    )


def tally_triton(
    maps: Float[Tensor, "batch unit height width"],
    grouped: GroupedCodes,
    edges: Float[Tensor, "unit edge"],
    *,
    nearest: bool = False,
) -> Int[np.ndarray, "set code unit bin"]:
    """Count some images on the device of their maps; see ``device.tally_there``."""
    device = maps.device
    n_sets, _, height, width = grouped.codes.shape
    n_units, n_edges = edges.shape
    n_codes = grouped.n_codes
    if grouped.codes.size == 0 or n_units == 0:
        return np.zeros((n_sets, n_codes, n_units, n_edges + 1), np.int32)
    if device not in grouped.segments:  # once, however many layers there are
        codes = torch.from_numpy(grouped.codes).to(device)
        grouped.segments[device] = segments_of(codes, n_codes=n_codes)
    segments = grouped.segments[device]
    above = torch.zeros(n_sets, n_codes, n_units, n_edges, dtype=torch.int32, device=device)
    if n_edges:
        along = [
            tensor
            for size, target in zip(maps.shape[2:], (height, width), strict=True)
            for tensor in _along(size, target, device, nearest=nearest)
        ]
        with _current(device):
            launch: Any = _count_segment[(len(segments.codes) * n_units,)]
            launch(
                maps, *maps.stride(), *segments[:3], *along,
                edges.to(device).contiguous(), above,
                n_units, n_codes, n_edges, height * width, width,
                N_SETS=n_sets, PIXELS=_PIXELS, EDGES=triton.next_power_of_2(n_edges),
                enable_fp_fusion=False,
            )  # fmt: skip
    # Bin n: the pixels above edge n - 1 that are not above edge n.
    whole = segments.areas[:, :, None, None].expand(-1, -1, n_units, 1)
    at_least = torch.cat([whole, above, torch.zeros_like(whole)], dim=3)
    return (at_least[..., :-1] - at_least[..., 1:]).cpu().numpy()


def _along(
    size: int, target: int, device: torch.device, *, nearest: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """``taps`` along an axis, on the device."""
    if nearest:
        chosen = cells(size, target)
        low, high, weight = chosen, chosen, np.zeros(target, np.float32)
    else:
        low, high, weight = taps(size, target)
    whole = [torch.from_numpy(a.astype(np.int32)).to(device) for a in (low, high)]
    return whole[0], whole[1], torch.from_numpy(weight).to(device)


def _current(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Make the device current for kernels that this thread starts."""
    if device.type == "cpu":  # in the interpreter
        return contextlib.nullcontext()
    return torch.get_device_module(device).device(device)
