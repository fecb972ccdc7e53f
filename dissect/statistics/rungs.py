"""The rules that place a unit on the ladder; see ``dissect.statistics.ladder``.

References:
    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri

from segmenters.vocabulary import Vocabulary

HALF = 0.5
"""A label fills an outline if at least this share of the outline is the concept. "Most" of the top
images means more than this share of them."""
CLEARLY_BEHIND = 0.75
"""Largest share of the label's excess information for a runner-up, unless both are one thing."""
ONE_THING = 0.75
"""Two concepts are one thing if at least this share of the rarer one's pixels is also the other."""
UPPER_TAIL = 0.95
"""Quantile of a layer's mixtures that a unit has to exceed for its layer's axes to stand out."""
CONFIDENCE = 0.95


def wilson(
    successes: Int[np.ndarray, "..."] | Float[np.ndarray, "..."] | float,
    trials: Int[np.ndarray, "..."] | Float[np.ndarray, "..."] | float,
    z: Float[np.ndarray, "..."] | float | None = None,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Wilson's score interval of a share; never of length 0.

    Args:
        successes: x, 0 to n; need not be whole.
        trials: n; the result is NaN where it is 0.
        z: Quantile of the normal or another distribution; None: the normal one at 95 %.
    """
    z = float(ndtri((1 + CONFIDENCE) / 2)) if z is None else z
    n = np.asarray(trials, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.asarray(successes, float) / n
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and 1 the bound is the share itself; rounding must not change it.
    low = np.where(share == 0, 0.0, np.maximum(middle - reach, 0))
    high = np.where(share == 1, 1.0, np.minimum(middle + reach, 1))
    unknown = ~(n > 0)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def one_thing(
    vocabulary: Vocabulary, overlap: Int[np.ndarray, "concept concept"]
) -> Bool[np.ndarray, "concept concept"]:
    """Which concepts belong to one thing, so that a unit may match both without contradiction.

    Either the vocabulary says so (one is a part of the other, or both are parts of a third), or
    three quarters of the rarer one's pixels are also the other, as with grass and ground.

    Args:
        vocabulary: Vocabulary of the run.
        overlap: Pixels that both cover; on the diagonal, pixels of the concept.
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
    """Each unit's second best concept, and its excess information divided by that of the label.

    Returns:
        Concepts from 0, or -1 where no other has excess information; and shares, 0 there.
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
    """Whether the runner-up is clearly behind the label, or is one thing with it.

    Args:
        label: Concept of each unit.
        runner_up, share: Results of ``runners_up``.
        related: Result of ``one_thing``.
    """
    return (runner_up < 0) | (share <= CLEARLY_BEHIND) | related[label, runner_up]


def filled(
    inside: Int[np.ndarray, "unit rank"], active: Int[np.ndarray, "unit rank"]
) -> Bool[np.ndarray, "unit rank"]:
    """Top images in which the label fills at least half of the unit's outline."""
    return (inside > 0) & (inside >= HALF * active)
