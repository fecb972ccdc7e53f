"""Types of arguments that are arrays of any shape, or single numbers."""

from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

Counts: TypeAlias = Int[np.ndarray, "..."] | np.integer[Any] | int
"""Whole numbers of pixels, samples or clusters."""

Reals: TypeAlias = Float[np.ndarray, "..."] | np.floating[Any] | float
"""Shares, rates, or counts as real numbers."""
