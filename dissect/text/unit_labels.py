"""Words for units: the text that a unit's top images have in common (CLIP-Dissect).

With a(i, u) the mean of unit u over image i, and P(w | i) = softmax over words of 10 · cos(i, w),
the top images i₁ … i_n of a unit in the order of a give each word the evidence

    E(u, w) = Σ_k log(1 + p_k (P(w | i_k) - 1)),    p_k falling from 0.998 to 0.97,

p_k being the chance that the unit means image k at all. Its soft pointwise mutual information takes
away what the word says of all units:

    S(u, w) = E(u, w) - log mean over units v of exp E(v, w)

The word with the largest S is the unit's. So a label depends on the other units of its layer.

**Chance.** S says which word fits, not whether any does: it is at most log(number of units). So E
is held against that of random images in place of the top ones (images shuffled), in deviations:

    Z(u, w) = (E(u, w) - mean of E(random, w)) / deviation of E(random, w)

p is the share of random sets whose largest Z over all words reaches that of the unit's own word. A
word is *above chance* if the unit's q-value over all units of all layers (Benjamini and Hochberg)
is at most 0.05. ``search_units`` asks the reverse: which units does one text w fit? There p is the
share of random sets whose own Z(·, w) reaches that of the unit.

A word describes whole images: of two things that always occur together, it cannot say which one the
unit draws. The IoU label of a run does; ``describe_agreement`` compares both.

References:
    Oikarinen and Weng, CLIP-Dissect, ICLR 2023, section 3.3 and appendix (soft WPMI).
    Benjamini and Hochberg, Controlling the False Discovery Rate, JRSS B 1995.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy import special, stats
from torch import Tensor

from dissect.counting.samples import block_indices, make_images, n_blocks
from dissect.errors import ConfigError
from dissect.generators.base import Generator
from dissect.latents.sampling import PROBE_STREAMS, stream
from dissect.pictures import as_rgb
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.text.scorer import TextScorer
from dissect.tracing import trace
from segmenters.clip import bare
from segmenters.vocabulary import Vocabulary

TOP_IMAGES = 100
FALSE_DISCOVERIES = 0.05
"""Largest q-value of a unit whose word is above chance."""
_SHARPNESS = 10.0  # factor of cosines before the softmax over words
_FIRST, _LAST = 0.998, 0.97  # p of the first and the last top image
_LEAST = 1e-7  # so that no image alone excludes a word
_SETS = 2000  # random sets of images, and deals of words
_UNITS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class WordScores:
    """Words of a layer's units.

    Args:
        scores: S.
        best: Index of the word with the largest S.
        z: Z of this word.
        p: Share of random sets of images of which some word has this Z.
        chance: Largest Z over words that 5 % of the random sets exceed.
    """

    scores: Float[np.ndarray, "unit word"]
    best: Int[np.ndarray, " unit"]
    z: Float[np.ndarray, " unit"]
    p: Float[np.ndarray, " unit"]
    chance: float


def soft_wpmi(
    activations: Float[np.ndarray, "image unit"],
    probabilities: Float[np.ndarray, "image word"],
    *,
    top: int = TOP_IMAGES,
) -> Float[np.ndarray, "unit word"]:
    """S of every unit and word; see the module docstring.

    Args:
        activations: Mean of each unit over each image.
        probabilities: P(w | i), each row of sum 1.
        top: Number of top images of a unit.

    Raises:
        ConfigError: more top images than images.
    """
    if not 1 <= top <= len(activations):
        raise ConfigError(f"top is {top} of {len(activations)} images; expected 1 to all of them")
    return _against_units(_evidence(_top(activations, top), probabilities))


def score_words(
    activations: Float[np.ndarray, "image unit"],
    cosines: Float[np.ndarray, "image word"],
    *,
    top: int = TOP_IMAGES,
    n_sets: int = _SETS,
    seed: int = 0,
) -> WordScores:
    """Scores of a layer's units, with their chance level.

    Args:
        activations: Mean of each unit over each image.
        cosines: Cosine of each image and each word.
        top: Number of top images of a unit.
        n_sets: Number of random sets of images.
        seed: Their seed.

    Raises:
        ConfigError: more top images than half of the images, fewer than two words.
    """
    probabilities = _probabilities(cosines, top)
    evidence = _evidence(_top(activations, top), probabilities)
    scores = _against_units(evidence)
    best = scores.argmax(axis=1)
    random = _evidence(_random_sets(len(cosines), top, n_sets, seed), probabilities)
    mean, deviation = random.mean(axis=0), random.std(axis=0) + 1e-12
    z = ((evidence - mean) / deviation)[np.arange(len(best)), best]
    largest = ((random - mean) / deviation).max(axis=1)
    n_reached = (largest >= z[:, None]).sum(axis=1)
    p = (1 + n_reached) / (1 + n_sets)
    return WordScores(scores, best, z, p, float(np.quantile(largest, 0.95)))


@dataclass(frozen=True, eq=False)
class Seen:
    """What units and towers say of the first samples of a run.

    Args:
        means: Layer → mean of each unit over each image.
        vectors: Unit vectors of the images.
    """

    means: Mapping[str, Float[np.ndarray, "image unit"]]
    vectors: Float[Tensor, "image embedding"]

    def cosines(self, texts: Float[Tensor, "text embedding"]) -> Float[np.ndarray, "image text"]:
        """Cosine of each image and each text.

        Args:
            texts: See ``TextScorer.encode_texts``.
        """
        return (self.vectors @ texts.T).float().cpu().numpy()


@torch.no_grad()
def look_at(
    run: Run, generator: Generator, scorer: TextScorer, n_samples: int, *, progress: bool = False
) -> Seen:
    """Make the first samples of a run again and keep what units and towers say of them.

    Args:
        run: A finished run.
        generator: Its generator, see ``open_generator``.
        scorer: Scorer of its images.
        n_samples: Number of samples; at most all.
        progress: Show a progress bar.
    """
    bases = {layer: run.basis(layer) for layer in run.layers if layer not in generator.layers}
    last = min(n_samples, run.config.n_samples)
    means: dict[str, list[np.ndarray]] = {layer: [] for layer in run.layers}
    vectors: list[Tensor] = []
    blocks: Iterable[int] = range(n_blocks(run.config, last))
    for number in ProgressBar(blocks, desc="images", disable=not progress):
        indices = block_indices(number, run.config, last)
        with trace(generator, list(run.layers), bases=bases) as maps:
            images = make_images(generator, run.config, indices)
            for layer in run.layers:
                means[layer].append(maps[layer].mean(dim=(2, 3)).float().cpu().numpy())
        vectors.append(scorer.encode_images(as_rgb(images.clamp(-1, 1))))
    return Seen({layer: np.concatenate(own) for layer, own in means.items()}, torch.cat(vectors))


def label_units(
    run: Run,
    generator: Generator,
    scorer: TextScorer,
    words: Sequence[str],
    *,
    n_samples: int = 1000,
    top: int = TOP_IMAGES,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """The words of all units of a run, beside their IoU labels.

    Args:
        run: A finished run.
        generator: Its generator, see ``open_generator``.
        scorer: Scorer of its images.
        words: Texts to choose from.
        n_samples: First samples of the run that are looked at; at most all.
        top: Number of top images of a unit.
        seed: Seed of the random sets.
        progress: Show a progress bar.

    Returns:
        A row per unit: ``layer``, ``unit``, ``word``, ``score`` (S), ``z``, ``chance`` (of z),
        ``p``, ``q``, ``above_chance``; ``concept`` and ``is_named`` of the run.

    Raises:
        ConfigError: see ``score_words``.
    """
    texts = scorer.encode_texts(words)
    seen = look_at(run, generator, scorer, n_samples, progress=progress)
    cosines = seen.cosines(texts)
    rows = []
    for layer, means in seen.means.items():
        found = score_words(means, cosines, top=top, seed=seed)
        units = run.units(layer)
        rows.append(
            pd.DataFrame(
                {
                    "layer": layer, "unit": units.unit, "word": np.array(words)[found.best],
                    "score": found.scores.max(axis=1), "z": found.z, "chance": found.chance,
                    "p": found.p, "concept": units.concept, "is_named": units.is_named,
                }
            )
        )  # fmt: skip
    table = pd.concat(rows, ignore_index=True)
    table["q"] = stats.false_discovery_control(table.p, method="bh")
    table["above_chance"] = table.q <= FALSE_DISCOVERIES
    return table


def search_units(
    seen: Seen,
    scorer: TextScorer,
    text: str,
    others: Sequence[str],
    *,
    top: int = TOP_IMAGES,
    seed: int = 0,
) -> pd.DataFrame:
    """Units whose top images match one text, the clearest first.

    With this text as w, Z and p are those of the module docstring, and q that of p over all units
    of all layers. Z says how far the images stand out, not that the unit draws the thing.

    Args:
        seen: See ``look_at``.
        scorer: Its scorer.
        text: The words.
        others: Texts that P(w | i) weighs it against, at least one.
        top: Number of top images of a unit.
        seed: Seed of the random sets.

    Returns:
        A row for each unit with q ≤ 0.05: ``layer``, ``unit``, ``z``, ``p``, ``q``.

    Raises:
        ConfigError: see ``score_words``; a text without a letter.
    """
    words = [text, *(other for other in others if other.lower() != text.lower())]
    cosines = seen.cosines(scorer.encode_texts(words))
    own = _probabilities(cosines, top)[:, :1]
    random = _evidence(_random_sets(len(own), top, _SETS, seed), own)[:, 0]
    mean, deviation = random.mean(), random.std() + 1e-12
    rows = []
    for layer, means in seen.means.items():
        evidence = _evidence(_top(means, top), own)[:, 0]
        p = (1 + (random >= evidence[:, None]).sum(axis=1)) / (1 + _SETS)
        z = (evidence - mean) / deviation
        rows.append(pd.DataFrame({"layer": layer, "unit": np.arange(len(z)), "z": z, "p": p}))
    table = pd.concat(rows, ignore_index=True)
    table["q"] = stats.false_discovery_control(table.p, method="bh")
    found = table[table.q <= FALSE_DISCOVERIES]
    return found.sort_values("z", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Agreement:
    """How often words and IoU labels of a run are the same thing.

    Args:
        units: All units.
        above_chance: Units whose word is above chance.
        expected: False discoveries among them.
        both: Of them, units that the run names.
        same: Of them, with the same concept, or one that is a part of the other.
        by_chance: Expected value of ``same`` if words were dealt out among these units.
        p: Share of deals with at least ``same`` units.
    """

    units: int
    above_chance: int
    expected: float
    both: int
    same: int
    by_chance: float
    p: float


def describe_agreement(table: pd.DataFrame, vocabulary: Vocabulary) -> Agreement:
    """Compare the words of units with their IoU labels.

    Args:
        table: See ``label_units``.
        vocabulary: Concepts of the run.
    """
    both = table[table.above_chance & table.is_named]
    words = [find_concept(vocabulary, word) for word in both.word]
    same = np.array([[_same(vocabulary, w, c) for c in both.concept] for w in words], bool)
    same = same.reshape(len(both), len(both))
    n_above, n_same = int(table.above_chance.sum()), int(np.trace(same))
    draws, rows = stream(0, PROBE_STREAMS - 2), np.arange(len(both))
    deals = [int(same[rows, draws.permutation(len(both))].sum()) for _ in range(_SETS)]
    p = (1 + sum(deal >= n_same for deal in deals)) / (1 + _SETS)
    expected = float(same.mean(axis=1).sum()) if len(both) else 0.0
    return Agreement(
        len(table), n_above, FALSE_DISCOVERIES * n_above, len(both), n_same, expected, p
    )


def find_concept(vocabulary: Vocabulary, word: str) -> str | None:
    """The concept that a word names, without its article and in singular or plural."""
    plain = bare(word).lower()
    by_name = {concept.name.lower(): concept.name for concept in vocabulary.concepts}
    forms = (plain, plain + "s", plain.removesuffix("s"))
    return next((by_name[form] for form in forms if form in by_name), None)


def _same(vocabulary: Vocabulary, first: str | None, second: str) -> bool:
    """Whether two concepts are equal, or one is a part of the other."""
    return first is not None and (
        first in _with_wholes(vocabulary, second) or second in _with_wholes(vocabulary, first)
    )


def _with_wholes(vocabulary: Vocabulary, concept: str | None) -> Iterator[str]:
    """A concept, what it is a part of, and so on."""
    while concept is not None:
        yield concept
        concept = vocabulary[concept].part_of


def _probabilities(
    cosines: Float[np.ndarray, "image word"], top: int
) -> Float[np.ndarray, "image word"]:
    """P(w | i).

    Raises:
        ConfigError: more top images than half of the images, fewer than two words.
    """
    n_images, n_words = cosines.shape
    if not 1 <= top <= n_images // 2:
        raise ConfigError(
            f"{top} top images of {n_images} were to describe a unit; expected at most half of "
            "them; give a smaller --top or more samples"
        )
    if n_words < 2:
        raise ConfigError(f"{n_words} word was given; expected two or more to choose from")
    return special.softmax(_SHARPNESS * cosines.astype(np.float64), axis=1)


def _random_sets(n_images: int, top: int, n_sets: int, seed: int) -> Int[np.ndarray, "set top"]:
    draws = stream(seed, PROBE_STREAMS - 1)
    return np.stack([draws.permutation(n_images)[:top] for _ in range(n_sets)])


def _top(activations: Float[np.ndarray, "image unit"], top: int) -> Int[np.ndarray, "unit top"]:
    """The top images of each unit, the highest first."""
    return np.argsort(-activations, axis=0, kind="stable")[:top].T


def _evidence(
    images: Int[np.ndarray, "unit top"], probabilities: Float[np.ndarray, "image word"]
) -> Float[np.ndarray, "unit word"]:
    """E of units with these top images."""
    p = np.linspace(_FIRST, _LAST, images.shape[1])[:, None]
    parts = []
    for first in range(0, len(images), _UNITS_AT_ONCE):
        of_images = probabilities[images[first : first + _UNITS_AT_ONCE]]  # unit × top × word
        parts.append(np.log(1 + p * (of_images - 1) + _LEAST).sum(axis=1))
    return np.concatenate(parts)


def _against_units(
    evidence: Float[np.ndarray, "unit word"],
) -> Float[np.ndarray, "unit word"]:
    """S from E."""
    return evidence - (special.logsumexp(evidence, axis=0) - np.log(len(evidence)))
