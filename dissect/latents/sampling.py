"""Sampling of latents by counter: sample i of seed s is a pure function of (s, i).

Each sample has its own Philox counter stream with the pair as key. So its values do not depend on
its batch, on earlier samples, or on the number of workers.

References:
    Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011 (Philox).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.errors import ConfigError

_LIMIT = 2**64
# Streams for other purposes than samples start here; no run has samples with such numbers. Streams
# of one kind count up from their first; the bootstrap's is the one before the resampling ones.
ROTATION_STREAMS = 2**63
DIRECTION_STREAMS = ROTATION_STREAMS + 2**60
MIXTURE_STREAMS = ROTATION_STREAMS + 2**59
PROBE_STREAMS = ROTATION_STREAMS + 2**61
RESAMPLING_STREAMS = ROTATION_STREAMS + 2**62
CAPTION_STREAMS = RESAMPLING_STREAMS + 2**61


def stream(seed: int, index: int) -> np.random.Generator:
    """The random stream of one sample.

    Args:
        seed: 0 ≤ seed < 2⁶⁴.
        index: 0 ≤ index < 2⁶⁴.

    Raises:
        ConfigError: seed or index out of range.
    """
    for name, value in (("seed", seed), ("index", index)):
        if not 0 <= value < _LIMIT:
            raise ConfigError(f"{name} is {value}; expected a whole number from 0 to 2**64 - 1")
    return np.random.Generator(np.random.Philox(key=np.array([seed, index], dtype=np.uint64)))


def standard_normal(indices: Sequence[int], *, seed: int, size: int) -> Float[Tensor, "batch size"]:
    """Independent standard normal values for each sample, float32.

    Example:
        >>> a = standard_normal([3, 7], seed=0, size=4)
        >>> b = standard_normal([7], seed=0, size=4)
        >>> bool((a[1] == b[0]).all())
        True
    """
    rows = [stream(seed, int(index)).standard_normal(size, dtype=np.float32) for index in indices]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, size)


def uniform_labels(indices: Sequence[int], *, seed: int, n_classes: int) -> Int[Tensor, " batch"]:
    """A class for each sample, uniform over ``0 … n_classes - 1``.

    Uses a separate stream (the counter jumped once), so that the latents do not change.
    """
    labels = []
    for index in indices:
        key = np.array([seed, int(index)], dtype=np.uint64)
        labels.append(np.random.Generator(np.random.Philox(key=key).jumped()).integers(n_classes))
    return torch.tensor(labels, dtype=torch.int64)
