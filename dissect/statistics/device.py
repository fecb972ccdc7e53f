"""The counts of ``dissect.statistics.kernel`` in plain tensor code, for maps on an accelerator."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.statistics.resize import resize


def tally_torch(
    maps: Float[Tensor, "batch unit height width"],
    codes: Int[Tensor, "set batch grid_height grid_width"],
    edges: Float[Tensor, "unit edge"],
    *,
    n_codes: int,
) -> Int[np.ndarray, "set code unit bin"]:
    """Count a block on the device of its maps; arguments and result are those of ``tally``."""
    n_sets = len(codes)
    n_units, n_edges = edges.shape
    codes, edges = codes.to(maps.device), edges.to(maps.device).contiguous()
    n_bins = n_edges + 1
    shape, grid = (n_sets, n_codes, n_units, n_bins), (codes.shape[2], codes.shape[3])
    table = torch.zeros(n_sets, n_codes * n_units * n_bins, dtype=torch.int32, device=maps.device)
    unit_cells = torch.arange(n_units, device=maps.device)[:, None] * n_bins
    for image in range(len(maps)):  # one at a time: a cell number takes eight bytes
        values = resize(maps[image : image + 1].float(), grid)[0].flatten(1)
        # The place before equal edges: as many as are strictly below the value.
        bins = torch.searchsorted(edges, values.contiguous())
        bins.masked_fill_(values.isnan(), 0)
        bins += unit_cells
        for s in range(n_sets):
            cells = bins + codes[s, image].flatten().to(torch.int64) * (n_units * n_bins)
            # Without weights bincount adds integers: the same result in any order.
            table[s] += torch.bincount(cells.flatten(), minlength=table.shape[1])
    return table.reshape(shape).cpu().numpy()
