"""Codes: one number for each combination of concepts that occurs in a block.

A pixel carries one concept (or none) in every plane. Tallying once per combination and adding up
afterwards costs one table update per pixel and unit, whatever the number of planes.
"""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor


def encode(
    planes: Int[Tensor, "batch plane height width"],
) -> tuple[Int[Tensor, "batch height width"], np.ndarray]:
    """Replace label planes by codes.

    Returns:
        The code of each pixel (int32), and ``members`` of shape (code, plane): the concept ids
        that a code stands for.
    """
    batch, n_planes, height, width = planes.shape
    labels = planes.permute(0, 2, 3, 1).reshape(-1, n_planes).to(torch.int64)
    radix = int(labels.max()) + 1 if labels.numel() else 1
    # Digits of base `radix`; folded after each plane, so the numbers never outgrow int64.
    codes = torch.zeros(len(labels), dtype=torch.int64)
    members = np.zeros((1, 0), np.int64)
    for plane in range(n_planes):
        distinct, codes = torch.unique(codes * radix + labels[:, plane], return_inverse=True)
        found = distinct.numpy()
        members = np.column_stack([members[found // radix], found % radix])
    return codes.reshape(batch, height, width).to(torch.int32), members


def fold(
    table: Int[np.ndarray, "code ..."], members: np.ndarray, n_concepts: int
) -> Int[np.ndarray, "row ..."]:
    """Add the rows of codes up to rows of concepts.

    Returns:
        int64; row 0 holds all pixels, row c those of concept c.
    """
    belongs = np.zeros((n_concepts + 1, len(members)))
    for plane in range(members.shape[1]):
        belongs[members[:, plane], np.arange(len(members))] = 1
    belongs[0] = 1
    # float64 holds these integers exactly (a block has far fewer than 2**53 pixels).
    flat = belongs @ table.reshape(len(members), -1)
    return flat.round().astype(np.int64).reshape(n_concepts + 1, *table.shape[1:])
