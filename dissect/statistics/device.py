"""Counting on an accelerator: maps are resized, compared and counted on their own device.

Only integers leave the device, in the same table as that of ``kernel.tally``. A Triton kernel
counts where Triton is available; otherwise plain torch operations do. Before a device's kernel is
used for the first time, it counts a small case that plain operations count too. A kernel that does
not compile, or that rounds differently, is not used and gives a warning, so the counts never depend
on it.
"""

import functools
import importlib.util
import warnings

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.groups import GroupedCodes
from dissect.statistics.resize import resize

_COMPILED_FOR = ("cuda", "xpu")
"""Kinds of devices that Triton compiles for; ROCm's are called cuda too."""


def counts_there(device: torch.device) -> bool:
    """Whether maps of this device are counted on it: true for every device but the processor."""
    return device.type != "cpu"


def tally_there(
    maps: Float[Tensor, "batch unit height width"],
    grouped: GroupedCodes,
    edges: Float[Tensor, "unit edge"],
    *,
    nearest: bool = False,
) -> Int[np.ndarray, "set code unit bin"]:
    """Count some images on the device of their maps.

    Args:
        maps: A layer's output.
        grouped: The codes of their mask-grid pixels.
        edges: Each unit's thresholds, ascending.
        nearest: Resize to the nearest cell, not bilinearly.

    Returns:
        The table of ``kernel.tally``, or of ``native.tally_native`` if ``nearest``.
    """
    if maps.device.type in _COMPILED_FOR and _kernel_agrees(maps.device):
        from dissect.statistics.triton_kernel import tally_triton  # noqa: PLC0415, needs Triton

        return tally_triton(maps, grouped, edges, nearest=nearest)
    codes = torch.from_numpy(grouped.codes)
    return tally_torch(maps, codes, edges, n_codes=grouped.n_codes, nearest=nearest)


@functools.cache
def _kernel_agrees(device: torch.device) -> bool:
    """Whether Triton is available and its kernel counts the same as plain operations.

    Every fifth edge equals a resized value, so any difference in rounding changes a count.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    draw = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 9, 5, 7, generator=draw)
    edges = torch.randn(9, 48, generator=draw)
    codes = torch.randint(0, 4, (2, 3, 16, 16), generator=draw).to(torch.int32)
    edges[:, ::5] = resize(maps, (16, 16))[0].flatten(1)[:, :: 256 // 10][:, :10]
    edges = edges.sort(dim=1).values
    try:
        from dissect.statistics.triton_kernel import tally_triton  # noqa: PLC0415, needs Triton

        there = maps.to(device)
        found = tally_triton(there, GroupedCodes.of(codes, n_codes=4), edges)
        if np.array_equal(found, tally_torch(there, codes, edges, n_codes=4)):
            return True
        reason = "it rounds differently from plain operations of torch"
    # A missing or failing compiler raises many kinds of errors; plain operations count without it.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
    warnings.warn(
        f"the kernel that counts on {device} is not used: {reason}; plain operations of torch "
        "count there, which takes longer",
        stacklevel=2,
    )
    return False


def tally_torch(
    maps: Float[Tensor, "batch unit height width"],
    codes: Int[Tensor, "set batch grid_height grid_width"],
    edges: Float[Tensor, "unit edge"],
    *,
    n_codes: int,
    nearest: bool = False,
) -> Int[np.ndarray, "set code unit bin"]:
    """Count some images in plain tensor code, on the device of the maps; see ``tally_there``."""
    n_sets = len(codes)
    n_units, n_edges = edges.shape
    codes, edges = codes.to(maps.device), edges.to(maps.device).contiguous()
    n_bins = n_edges + 1
    shape, grid = (n_sets, n_codes, n_units, n_bins), (codes.shape[2], codes.shape[3])
    table = torch.zeros(n_sets, n_codes * n_units * n_bins, dtype=torch.int32, device=maps.device)
    unit_cells = torch.arange(n_units, device=maps.device)[:, None] * n_bins
    for image in range(len(maps)):  # one at a time: a cell number takes eight bytes
        values = resize(maps[image : image + 1].float(), grid, nearest=nearest)[0].flatten(1)
        # Index before equal edges: the number of edges strictly below the value.
        bins = torch.searchsorted(edges, values.contiguous())
        bins.masked_fill_(values.isnan(), 0)
        bins += unit_cells
        for s in range(n_sets):
            cells = bins + codes[s, image].flatten().to(torch.int64) * (n_units * n_bins)
            # Without weights bincount adds integers: the same result in any order.
            table[s] += torch.bincount(cells.flatten(), minlength=table.shape[1])
    return table.reshape(shape).cpu().numpy()
