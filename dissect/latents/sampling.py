"""Latents from counters: sample i of seed s is a pure function of (s, i).

Each sample owns a Philox counter stream keyed by the pair, so its values do not depend on the batch
it is drawn in, on the samples before it, or on the number of workers.

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
# Streams that belong to no sample start here; no run has samples this far up. Those of one kind
# count up from their first; the one before the resampling ones is the bootstrap's.
ROTATION_STREAMS = 2**63
DIRECTION_STREAMS = ROTATION_STREAMS + 2**60
MIXTURE_STREAMS = ROTATION_STREAMS + 2**59
PROBE_STREAMS = ROTATION_STREAMS + 2**61
RESAMPLING_STREAMS = ROTATION_STREAMS + 2**62
CAPTION_STREAMS = RESAMPLING_STREAMS + 2**61


def stream(seed: int, index: int) -> np.random.Generator:
    """The random stream that belongs to one sample.

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

    Drawn from a stream of its own (the counter jumped once), so that it does not move the latents.
    """
    labels = []
    for index in indices:
        key = np.array([seed, int(index)], dtype=np.uint64)
        labels.append(np.random.Generator(np.random.Philox(key=key).jumped()).integers(n_classes))
    return torch.tensor(labels, dtype=torch.int64)
