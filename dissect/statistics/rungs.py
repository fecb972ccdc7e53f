"""What decides how far up the ladder a unit is; see ``dissect.statistics.ladder``.

References:
    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri

from segmenters.vocabulary import Vocabulary

HALF = 0.5
"""A label fills an outline where at least this share of it is the concept; most of the top images
are more than this share of them."""
CLEARLY_BEHIND = 0.75
"""What a runner-up may have of the label's excess information, unless both are one thing."""
ONE_THING = 0.75
"""Two concepts are one thing where this share of the rarer one's pixels is of the other as well."""
UPPER_TAIL = 0.95
"""Quantile of a layer's mixtures that a unit has to exceed, where its axes stand out."""
CONFIDENCE = 0.95


def wilson(
    successes: Int[np.ndarray, "..."] | Float[np.ndarray, "..."] | float,
    trials: Int[np.ndarray, "..."] | Float[np.ndarray, "..."] | float,
    z: Float[np.ndarray, "..."] | float | None = None,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Wilson's score interval of a share; never of length 0.

    Args:
        successes: x, 0 to n; need not be whole.
        trials: n; NaN is given where it is 0.
        z: Quantile of the normal distribution, or another; that of 95 % if None.
    """
    z = float(ndtri((1 + CONFIDENCE) / 2)) if z is None else z
    n = np.asarray(trials, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.asarray(successes, float) / n
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and 1 the bound is the share itself; rounding must not move it.
    low = np.where(share == 0, 0.0, np.maximum(middle - reach, 0))
    high = np.where(share == 1, 1.0, np.minimum(middle + reach, 1))
    unknown = ~(n > 0)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def one_thing(
    vocabulary: Vocabulary, overlap: Int[np.ndarray, "concept concept"]
) -> Bool[np.ndarray, "concept concept"]:
    """Which concepts are parts of one thing, so that a unit of both is no contradiction.

    Either the vocabulary says so (one is a part of the other, or both are parts of a third), or
    three quarters of the rarer one's pixels are of the other as well, as with grass and ground.

    Args:
        vocabulary: Of the run.
        overlap: Pixels that both cover; on the diagonal those of the concept.
    """
    whole = {}
    for concept in vocabulary:
        top = concept
        while top.part_of is not None:
            top = vocabulary[top.part_of]
        whole[concept.name] = top.name
    names = np.array([whole[concept.name] for concept in vocabulary])
    area = np.diagonal(overlap)
    rarer = np.minimum(area[:, None], area[None, :])
    return (names[:, None] == names) | ((overlap >= ONE_THING * rarer) & (rarer > 0))


def runners_up(
    excess: Float[np.ndarray, "unit concept"],
    label: Int[np.ndarray, " unit"],
    allowed: Bool[np.ndarray, " concept"],
) -> tuple[Int[np.ndarray, " unit"], Float[np.ndarray, " unit"]]:
    """The second best concept of each unit, and its excess information over that of the label.

    Returns:
        Concepts from 0, -1 where there is none with excess information; and shares, 0 there.
    """
    units = np.arange(len(label))
    others = np.where(allowed, excess, -np.inf)
    others[units, label] = -np.inf
    second = others.argmax(axis=1)
    theirs, own = others[units, second], excess[units, label]
    some = (theirs > 0) & (own > 0)
    share = np.divide(theirs, own, out=np.zeros(len(label)), where=some)
    return np.where(some, second, -1), share


def clearly_ahead(
    label: Int[np.ndarray, " unit"],
    runner_up: Int[np.ndarray, " unit"],
    share: Float[np.ndarray, " unit"],
    related: Bool[np.ndarray, "concept concept"],
) -> Bool[np.ndarray, " unit"]:
    """Whether the runner-up lies clearly behind, or is one thing with the label.

    Args:
        label: Concept of each unit.
        runner_up, share: As ``runners_up`` gives them.
        related: As ``one_thing`` gives it.
    """
    return (runner_up < 0) | (share <= CLEARLY_BEHIND) | related[label, runner_up]


def filled(
    inside: Int[np.ndarray, "unit rank"], active: Int[np.ndarray, "unit rank"]
) -> Bool[np.ndarray, "unit rank"]:
    """In which top images the label fills at least half of what the unit outlines."""
    return (inside > 0) & (inside >= HALF * active)
