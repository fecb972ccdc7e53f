"""Learning rates over a training."""


def one_cycle(fraction: float, *, rise: float) -> float:
    """The share of the peak rate: up, then down to nothing, both straight.

    Args:
        fraction: Of the training that is done, from 0 to 1.
        rise: Of the training over which the rate rises.
    """
    return min(1.0, 0.05 + fraction / rise) * min(1.0, (1 - fraction) / (1 - rise) + 1e-3)
