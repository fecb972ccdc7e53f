"""Learning-rate schedules."""


def one_cycle(fraction: float, *, rise: float) -> float:
    """The share of the peak rate: a linear rise, then a linear fall to 0.

    Args:
        fraction: Completed share of the training, from 0 to 1.
        rise: Share of the training during which the rate rises.
    """
    return min(1.0, 0.05 + fraction / rise) * min(1.0, (1 - fraction) / (1 - rise) + 1e-3)
