"""Equal up to rounding, where two programs or two processors add the same numbers in other orders.

A value of a feature map is a sum of hundreds of products of both signs: its error goes with the
size of what is added, not with the value itself, which may be all error near zero. So errors are
measured in shares of the largest value compared.
"""

import numpy as np

# Over all uses of this, on one processor with its own, AVX2's and SSE's instructions, float32 gave
# up to 3e-5 and mostly less than 5e-6. The smallest mistake that was tried, 1e-5 instead of 1e-4 in
# BigGAN's norms, is off by 3e-4.
SHARE = 1e-4


def assert_same(found, expected, name=""):
    """No value of ``found`` is further from ``expected`` than ``SHARE`` of its largest value."""
    found, expected = (
        np.asarray(x.detach() if hasattr(x, "detach") else x) for x in (found, expected)
    )
    share = SHARE + np.finfo(expected.dtype).eps  # some were stored in half precision
    found, expected = found.astype(float), expected.astype(float)
    assert found.shape == expected.shape, name
    off, largest = np.abs(found - expected).max(), np.abs(expected).max()
    assert off <= share * largest, f"{name} is off by {off:.1e}; its largest value is {largest:.1e}"
