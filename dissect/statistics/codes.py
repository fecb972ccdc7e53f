"""Codes: one number for each combination of concepts that occurs in some images.

A pixel carries one concept (or none) in every plane. Counting once per combination and adding up
afterwards costs one table update per pixel and unit, for any number of planes.
"""

import numpy as np
import torch
from jaxtyping import Int, Integer
from torch import Tensor

_LARGEST_LOOKUP = 1 << 22  # entries; above it, sorting takes less time than a table


def encode(
    planes: Integer[Tensor, "batch plane height width"],
) -> tuple[Int[Tensor, "batch height width"], np.ndarray]:
    """Replace label planes by codes.

    Returns:
        The code of each pixel (int32), and ``members`` of shape (code, plane): the concept ids
        of each code.
    """
    batch, n_planes, height, width = planes.shape
    codes = np.zeros(batch * height * width, np.int64)
    members = np.zeros((1, 0), np.int64)
    # Digits are added plane by plane and renumbered at once, so the numbers never exceed int64.
    for plane in range(n_planes):
        labels = planes[:, plane].reshape(-1).numpy()
        radix = int(labels.max(initial=0)) + 1
        found, codes = _close_up(codes * radix + labels, len(members) * radix)
        members = np.column_stack([members[found // radix], found % radix])
    return torch.from_numpy(codes.astype(np.int32)).reshape(batch, height, width), members


def _close_up(numbers: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct numbers, ascending, and the index of each number among them."""
    if limit > _LARGEST_LOOKUP:
        found, places = np.unique(numbers, return_inverse=True)
        return found, places.reshape(-1)
    found = np.flatnonzero(np.bincount(numbers, minlength=limit))
    places = np.empty(limit, np.int64)
    places[found] = np.arange(len(found))
    return found, places[numbers]
