"""Disentanglement of a latent space: DCI, and attribute dependency at equal change.

**DCI.** For each attribute a classifier separates its highest from its lowest samples by the codes
of the space; R_ij ≥ 0 is the importance of code i for attribute j. With p_ij = R_ij / Σ_j R_ij and
q_ij = R_ij / Σ_i R_ij,

    disentanglement  D = Σ_i ρ_i D_i,  D_i = 1 + Σ_j p_ij log_K p_ij,  ρ_i = Σ_j R_ij / Σ R
    completeness     C = mean_j C_j,   C_j = 1 + Σ_i q_ij log_d q_ij
    informativeness  I = mean_j of the accuracy on held-out samples

for K attributes and d codes. The logarithm of D has base K and that of C base d, so both are 1 for
one code per attribute and 0 for equally important codes. With other numbers of attributes or codes
the same network gets another D or C. So absolute values of published tables are not comparable.

With many codes, noise alone makes each classifier use different codes, so D and C are large even
without any information. They are given beside their **chance level**: the same values with the
scores of each attribute shuffled.

**Attribute dependency.** Samples move along the direction of each attribute (its boundary in the
space) until the attribute has changed by 1 σ, at most by √d σ̄, the distance of samples from the
mean. The changes of the other attributes are measured, as in ``card``.

Spaces: z, w and s are sampled as usual. In w+ every layer's w is one of two, split at a random
layer (style mixing); without mixing it would be w. A layer's codes are the spatial means of its
units.

References:
    Eastwood and Williams, A Framework for the Quantitative Evaluation of Disentangled
    Representations, ICLR 2018, section 2 (D, C, I).
    Wu, Lischinski and Shechtman, StyleSpace Analysis, CVPR 2021, section 3 (DCI of z, w and s by
    gradient boosting), section 6 (attribute dependency).
    Tukey, Bias and Confidence in Not Quite Large Samples, 1958 (the jackknife, here of groups).
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier

from dissect.directions.boundary import fit_boundary
from dissect.directions.card import dependency, solve_strength
from dissect.directions.direction import Direction
from dissect.directions.effects import bootstrap_interval
from dissect.directions.rescoring import equal_moves, step_length
from dissect.directions.samples import FRESH, AttributeReader, latent_blocks, read_edited
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import Generator
from dissect.latents import Latent
from dissect.latents.sampling import RESAMPLING_STREAMS, stream
from dissect.progress import ProgressBar
from dissect.tracing import trace
from segmenters.nearest import did_you_mean

TREES = 30
"""Trees of each classifier, of depth 3. The paper's program uses 100."""
GROUPS = 5
"""Groups of samples for the jackknife."""
PUBLISHED = {"z": 0.31, "w": 0.54, "s": 0.75}
"""Disentanglement of StyleGAN2-FFHQ with 31 attributes of CelebA (StyleSpace, table 1)."""
_GRID = (0.09, 0.18, 0.35, 0.7, 1.0)  # of √d σ̄, the population's radius
_FEWEST = 10  # least samples of a class
_BLOCK = 32


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN where it is undefined.

    Attributes:
        value, low, high: The estimate and the bounds.
    """

    value: float
    low: float
    high: float


NONE = Estimate(np.nan, np.nan, np.nan)


@dataclass(frozen=True, eq=False)
class SpaceScores:
    """Disentanglement of one space.

    Attributes:
        space: Its name, or a layer's.
        n_codes: d.
        disentanglement, completeness, informativeness: D, C, I.
        chance: D and C of shuffled scores.
        dependency: Attribute dependency, mean over the attributes that reach 1 σ.
        reached: Number of these attributes.
        importances: R.
    """

    space: str
    n_codes: int
    disentanglement: Estimate
    completeness: Estimate
    informativeness: Estimate
    chance: tuple[float, float]
    dependency: Estimate
    reached: int
    importances: Float[np.ndarray, "code attribute"]


def disentanglement(importances: Float[np.ndarray, "code attribute"]) -> float:
    """D of a matrix of importances; the logarithm has the number of attributes as its base.

    Raises:
        ConfigError: fewer than two attributes, for which the entropy is undefined.

    Example:
        >>> disentanglement(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        1.0
    """
    n_attributes = importances.shape[1]
    if n_attributes < 2:
        raise ConfigError(
            "one attribute was given for disentanglement; expected at least two, between which "
            "codes can be divided"
        )
    weights = importances.sum(axis=1)
    used = weights > 0
    if not used.any():
        return float("nan")
    shares = importances[used] / weights[used, None]
    return float(weights[used] @ (1 - _entropy(shares, axis=1, base=n_attributes)) / weights.sum())


def completeness(importances: Float[np.ndarray, "code attribute"]) -> float:
    """C of a matrix of importances; the logarithm has the number of codes as its base.

    Raises:
        ConfigError: fewer than two codes.
    """
    if len(importances) < 2:
        raise ConfigError("one code was given for completeness; expected at least two")
    totals = importances.sum(axis=0)
    used = totals > 0
    if not used.any():
        return float("nan")
    shares = importances[:, used] / totals[used]
    return float((1 - _entropy(shares, axis=0, base=len(importances))).mean())


def _entropy(shares: np.ndarray, *, axis: int, base: int) -> np.ndarray:
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(axis=axis) / np.log(base)


def dci(
    codes: Float[np.ndarray, "n code"],
    scores: Float[np.ndarray, "n attribute"],
    *,
    share: float = 0.25,
    trees: int = TREES,
    groups: int = GROUPS,
    seed: int = 0,
    progress: bool = False,
) -> tuple[Estimate, Estimate, Estimate, Float[np.ndarray, "code attribute"]]:
    """D, C and I with intervals, and R.

    The intervals are the jackknife's: the samples are divided into groups, and everything is
    computed without each of them. Half of the extremes train a classifier, the others test it.

    Args:
        codes: Codes of the samples.
        scores: Two attributes or more, each of which varies.
        share: Share of the samples taken from each end of an attribute.
        trees: Trees of each classifier.
        groups: Groups of samples, 3 or more.
        seed: Seed of the split.
        progress: Show a progress bar.

    Raises:
        ConfigError: too few samples, or an attribute with equal ends.
    """
    n = len(codes)
    if int(share * n * (1 - 1 / groups)) < 2 * _FEWEST or not 0 < share <= 0.5 or groups < 3:
        raise ConfigError(
            f"a share of {share:g} of {n} samples in {groups} groups leaves too few for two "
            f"classes; expected at least {2 * _FEWEST} of each end without a group, a share up to "
            "0.5 and 3 groups or more; take more samples"
        )
    group = stream(seed, RESAMPLING_STREAMS - 5).permutation(np.arange(n) % groups)
    bar = ProgressBar(
        range(groups), desc="classifiers", unit="group", disable=None if progress else True
    )
    parts = [
        _importances(codes[group != g], scores[group != g], share=share, trees=trees, seed=seed)
        for g in bar
    ]
    values = np.array(
        [[disentanglement(r), completeness(r), accuracy.mean()] for r, accuracy in parts]
    )
    mean = values.mean(axis=0)
    error = np.sqrt((groups - 1) / groups * ((values - mean) ** 2).sum(axis=0))
    reach = stats.t.ppf(0.975, groups - 1) * error
    found = [
        Estimate(float(m), float(max(0, m - r)), float(min(1, m + r)))
        for m, r in zip(mean, reach, strict=True)
    ]
    return found[0], found[1], found[2], np.mean([r for r, _ in parts], axis=0)


def chance_level(
    codes: Float[np.ndarray, "n code"],
    scores: Float[np.ndarray, "n attribute"],
    *,
    share: float = 0.25,
    trees: int = TREES,
    seed: int = 0,
) -> tuple[float, float]:
    """D and C of the same codes, with the scores of each attribute shuffled separately."""
    random = stream(seed, RESAMPLING_STREAMS - 7)
    shuffled = np.stack([random.permutation(column) for column in scores.T], axis=1)
    r, _ = _importances(codes, shuffled, share=share, trees=trees, seed=seed)
    return disentanglement(r), completeness(r)


def _importances(
    codes: np.ndarray, scores: np.ndarray, *, share: float, trees: int, seed: int
) -> tuple[Float[np.ndarray, "code attribute"], Float[np.ndarray, " attribute"]]:
    """R, and the accuracy on held-out extremes, for each attribute."""
    n_side = int(share * len(codes))
    columns, accuracies = [], []
    for score in scores.T:
        order = np.argsort(score, kind="stable")
        low, high = order[:n_side], order[-n_side:]
        if score[low[-1]] >= score[high[0]]:
            raise ConfigError(
                "an attribute is the same at both ends, so one class is empty; expected attributes "
                "that vary; leave it out"
            )
        random = stream(seed, RESAMPLING_STREAMS - 6)
        low, high = random.permutation(low), random.permutation(high)
        half = n_side // 2
        fitted = np.concatenate([high[:half], low[:half]])
        tested = np.concatenate([high[half:], low[half:]])
        machine = GradientBoostingClassifier(n_estimators=trees, random_state=seed)
        machine.fit(codes[fitted], np.repeat([1, 0], half))
        truth = np.repeat([1, 0], n_side - half)
        columns.append(machine.feature_importances_)
        accuracies.append(float((machine.predict(codes[tested]) == truth).mean()))
    return np.stack(columns, axis=1), np.array(accuracies)


@torch.no_grad()
def measure_space(
    generator: Generator,
    reader: AttributeReader,
    space: str,
    *,
    n_samples: int = 1000,
    n_edited: int = 32,
    share: float = 0.25,
    trees: int = TREES,
    seed: int = 0,
    progress: bool = False,
) -> SpaceScores:
    """DCI and attribute dependency of one space or layer.

    Args:
        generator: Any generator.
        reader: Reader of two attributes or more.
        space: A space, or a layer.
        n_samples: Random samples for DCI and boundaries.
        n_edited: Fresh images that are moved.
        share: See ``dci``.
        trees: See ``dci``.
        seed: Seed of the samples.
        progress: Show progress bars.

    Raises:
        GeneratorError: neither a space nor a layer.
        ConfigError: fewer than two attributes that vary.
    """
    return measure_spaces(
        generator, reader, [space], n_samples=n_samples, n_edited=n_edited, share=share,
        trees=trees, seed=seed, progress=progress,
    )[0]  # fmt: skip


@torch.no_grad()
def measure_spaces(
    generator: Generator,
    reader: AttributeReader,
    spaces: Sequence[str],
    *,
    n_samples: int = 1000,
    n_edited: int = 32,
    share: float = 0.25,
    trees: int = TREES,
    seed: int = 0,
    progress: bool = False,
) -> list[SpaceScores]:
    """``measure_space`` for several spaces; shares their samples (w+ has separate samples)."""
    for space in spaces:
        check_place(generator, space)
    sampled = _sample_codes(
        generator, reader, spaces, n_samples=n_samples, seed=seed, progress=progress
    )
    return [
        _measure(
            generator, reader, space, *sampled[space], n_edited=n_edited, share=share, trees=trees,
            seed=seed, progress=progress,
        )
        for space in spaces
    ]  # fmt: skip


def _measure(
    generator: Generator, reader: AttributeReader, space: str, codes: np.ndarray,
    scores: np.ndarray, *, n_edited: int, share: float, trees: int, seed: int, progress: bool,
) -> SpaceScores:  # fmt: skip
    varying = np.flatnonzero(scores.std(axis=0) > 1e-9 * (1 + np.abs(scores).max(axis=0)))
    if len(varying) < 2:
        raise ConfigError(
            f"{len(varying)} of {len(reader.attributes)} attributes vary over the images of "
            f"{generator.name}; expected at least two; give another predictor"
        )
    d, c, i, importances = dci(
        codes, scores[:, varying], share=share, trees=trees, seed=seed, progress=progress
    )
    ad, reached = _dependency(
        generator, reader, space, codes, scores, varying, n_edited=n_edited, share=share, seed=seed,
        progress=progress,
    )  # fmt: skip
    chance = chance_level(codes, scores[:, varying], share=share, trees=trees, seed=seed)
    return SpaceScores(space, codes.shape[1], d, c, i, chance, ad, reached, importances)


def check_place(generator: Generator, space: str) -> None:
    """Raise an error for a name that is neither a space nor a layer.

    Raises:
        GeneratorError: such a name.
    """
    known = [*generator.spaces, *generator.layers]
    if space not in known:
        raise GeneratorError(
            f"{space!r} is neither a space nor a layer of {generator.name}; "
            f"{did_you_mean(space, known)}expected {', '.join(generator.spaces)} or a layer"
        )


def _sample_codes(
    generator: Generator, reader: AttributeReader, spaces: Sequence[str], *, n_samples: int,
    seed: int, progress: bool,
) -> dict[str, tuple[Float[np.ndarray, "n code"], Float[np.ndarray, "n attribute"]]]:  # fmt: skip
    """Codes of the samples in each space, and the attributes of their images."""
    found = {}
    for mixed in (False, True):
        own = [space for space in dict.fromkeys(spaces) if (space == "w+") is mixed]
        if not own:
            continue
        layers = [space for space in own if space not in generator.spaces]
        codes: dict[str, list[np.ndarray]] = {space: [] for space in own}
        scores = []
        bar = ProgressBar(
            range(0, n_samples, _BLOCK), desc=f"samples in {', '.join(own)}"[:60], unit="block",
            disable=None if progress else True,
        )  # fmt: skip
        for first in bar:
            indices = list(range(first, min(first + _BLOCK, n_samples)))
            latent = generator.sample(indices, seed=seed)
            if mixed:
                latent = _mix(generator, latent, indices, seed=seed)
            with trace(generator, layers) if layers else nullcontext({}) as maps:
                images = generator.synthesize(latent)
            for space in own:
                if space in maps:
                    code = maps[space].mean(dim=(2, 3))
                else:
                    code = generator.convert(latent, space).data.flatten(1)
                codes[space].append(code.double().cpu().numpy())
            scores.append(reader.read(images))
        read = np.concatenate(scores)
        found |= {space: (np.concatenate(codes[space]), read) for space in own}
    return found


def _mix(generator: Generator, latent: Latent, indices: Sequence[int], *, seed: int) -> Latent:
    """w+ whose first layers come from one latent and whose others come from another."""
    n_layers = generator.spaces["w+"].shape[0]
    second = generator.sample([index + FRESH for index in indices], seed=seed + 1)
    one, other = (generator.convert(each, "w+").data for each in (latent, second))
    cuts = [int(stream(seed + 1, FRESH + index).integers(1, n_layers)) for index in indices]
    first = torch.arange(n_layers)[None] < torch.tensor(cuts)[:, None]
    return Latent("w+", torch.where(first[:, :, None].to(one.device), one, other), latent.label)


def _dependency(
    generator: Generator, reader: AttributeReader, space: str, codes: np.ndarray,
    scores: np.ndarray, varying: Int[np.ndarray, " k"], *, n_edited: int, share: float, seed: int,
    progress: bool,
) -> tuple[Estimate, int]:  # fmt: skip
    """Attribute dependency over the boundaries of all attributes, and the number that reach 1 σ."""
    latents = list(latent_blocks(generator, n_samples=n_edited, seed=seed, first=FRESH))
    of_target = []
    plain = read_edited(generator, reader, latents, [[]])[0]
    sigma = plain.std(axis=0, ddof=1)
    shape = generator.spaces[space].shape if space in generator.spaces else codes.shape[1:]
    for column in varying:
        normal = fit_boundary(codes, scores[:, column], share=share, seed=seed).normal
        direction = Direction(reader.attributes[column], space, normal.reshape(shape))
        radius = np.sqrt(shape[1] if space == "w+" else np.prod(shape))
        unit = step_length(generator, direction, seed=seed) * radius
        recipes = [equal_moves(generator, direction, step * unit) for step in _GRID]
        values = read_edited(
            generator, reader, latents, recipes, progress=progress, stage=direction.name
        )
        if sigma[column] == 0:
            continue
        response = (values[:, :, column] - plain[:, column]).mean(axis=1) / sigma[column]
        strength, reached = solve_strength([0.0, *response], (0.0, *_GRID), 1.0)
        if not reached:
            continue
        others = [int(k) for k in varying if k != column and sigma[k] > 0]
        steps = [np.zeros(len(plain))] + [dependency(plain, v, sigma, others) for v in values]
        grid = np.array([0.0, *_GRID])
        right = int(np.searchsorted(grid, strength))
        part = (strength - grid[right - 1]) / (grid[right] - grid[right - 1])
        of_target.append((1 - part) * steps[right - 1] + part * steps[right])
    if not of_target:
        return NONE, 0
    of_image = np.mean(of_target, axis=0)
    low, high = bootstrap_interval(of_image[None, :, None], seed=seed)
    return Estimate(float(of_image.mean()), float(low[0, 0]), float(high[0, 0])), len(of_target)


def describe_spaces(
    found: Sequence[SpaceScores], *, generator: str, attributes: Sequence[str], n_samples: int
) -> str:
    """The comparison of spaces as a table in text."""

    def cell(one: Estimate) -> str:
        if np.isnan(one.value):
            return f"{'–':<18}"
        return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]".ljust(18)

    width = max([len("space"), *(len(one.space) for one in found)]) + 2
    lines = [
        f"{generator} · {n_samples:,} samples · {len(attributes)} attributes: "
        f"{', '.join(attributes)}",
        "",
        f"{'space':<{width}}codes  {'D':<18}chance  {'C':<18}chance  {'I':<18}"
        f"{'dependency':<18}reached  published D",
    ]
    for one in found:
        published = PUBLISHED.get(one.space)
        lines.append(
            f"{one.space:<{width}}{one.n_codes:>5}  {cell(one.disentanglement)}"
            f"{one.chance[0]:>6.2f}  {cell(one.completeness)}{one.chance[1]:>6.2f}  "
            f"{cell(one.informativeness)}{cell(one.dependency)}"
            f"{one.reached:>7}  {'–' if published is None else f'{published:.2f}':>11}"
        )
    k = len(attributes)
    return "\n".join(
        [
            *lines,
            "",
            f"D, C, I: disentanglement (logarithm of base {k}, the number of attributes), "
            "completeness (base: the number",
            "of codes), informativeness (accuracy on held-out samples; a coin has 0.50). "
            "dependency: mean |Δ|/σ of the other",
            "attributes when one is moved by 1 σ along its boundary; less is better; reached: "
            "attributes that move so far.",
            "chance: D and C of shuffled scores, which many codes make large. [ , ]: 95 % "
            "intervals. Published: StyleGAN2 of",
            "FFHQ with 31 attributes of CelebA; the base of its logarithm is another one, and so "
            "are the attributes: sizes do not compare.",
        ]
    )
