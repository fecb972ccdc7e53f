"""A latent: a point, or a batch of them, in a named space."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Latent:
    """A batch of points in a latent space.

    Args:
        space: ``z``, ``w``, ``w+``, ``s``, ``p`` or ``p+``.
        data: Floats, the first dimension is the batch.
        label: Class of each sample as an index of shape ``batch``, or None.

    Example:
        >>> Latent("z", torch.zeros(2, 512)).space
        'z'
    """

    space: str
    data: Tensor
    label: Tensor | None = None

    def __len__(self) -> int:
        return self.data.shape[0]

    def __getitem__(self, rows: slice) -> "Latent":
        """Some of the samples, by slice or index tensor; the batch dimension stays."""
        return replace(
            self, data=self.data[rows], label=None if self.label is None else self.label[rows]
        )

    def to(self, device: torch.device | str) -> "Latent":
        """The same latent on another device."""
        label = None if self.label is None else self.label.to(device)
        return replace(self, data=self.data.to(device), label=label)
