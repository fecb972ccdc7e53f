"""Measures what re-ranking adds: are more of a caption's statements true of the nearest sample?

    python -m recipes.scenes_dalle.reranking --captions 96 --samples 16

``scenes-clip`` ranks samples of a caption; the segmenter and the predictor of scenes, two other
networks, judge them. Of groups of k samples of a caption there are four choices:

    random    any of the k: the level without re-ranking
    nearest   the sample whose cosine with the caption is largest
    misled    the sample whose cosine with the next caption is largest: re-ranking by wrong words
    best      the sample of which most statements are true: the limit of any ranking

Each has the share of statements that are true of the chosen samples. Chance is the share of the
same statements that are true of the sample chosen for the next caption.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dissect.generators import load_generator
from dissect.generators.base import Generator
from dissect.generators.prompts import TakesPrompts
from dissect.latents import Latent
from dissect.text.scorer import TextScorer
from recipes.scenes_dalle.measure import list_facts, read_facts
from segmenters.clip_models import load_clip

_BATCH = 64
_DRAWS = 2000  # of the bootstrap over captions


@dataclass(frozen=True)
class Judged:
    """Samples of captions, ranked and judged.

    Attributes:
        said: Which facts a caption states.
        true: Which facts hold in a sample.
        cosines: Of a sample (second axis) of a caption with each caption's text.
    """

    said: Bool[Tensor, "caption fact"]
    true: Bool[Tensor, "caption sample fact"]
    cosines: Float[Tensor, "caption sample text"]


@torch.no_grad()
def judge(
    generator: Generator, scorer: TextScorer, captions: Sequence[str], *, n: int, seed: int
) -> Judged:
    """Draw n samples of each of a generator's first captions, rank them and judge them."""
    facts = list_facts()
    texts = scorer.encode_texts(captions)
    cosines = []

    def draw() -> Iterator[Tensor]:
        n_all = n * len(captions)
        for start in range(0, n_all, _BATCH):
            indices = range(start, min(start + _BATCH, n_all))
            latent = generator.sample(indices, seed=seed)
            labels = torch.tensor(indices) // n
            images = generator.synthesize(Latent("z", latent.data, labels)).clamp(-1, 1)
            cosines.append(scorer.encode_images(images) @ texts.T)
            yield images

    true = read_facts(draw(), facts)
    said = torch.tensor([[fact.is_said(text) for fact in facts] for text in captions])
    shape = (len(captions), n)
    return Judged(said, true.unflatten(0, shape), torch.cat(cosines).unflatten(0, shape))


def shares(judged: Judged, k: int, *, seed: int = 0) -> dict[str, float]:
    """The shares of the module docstring, for the samples of each caption in groups of k.

    Returns:
        statements (their number in all groups), random, nearest, misled, best, chance, and the
        95 % interval of nearest − random over captions (low, high).

    Raises:
        ValueError: samples that do not divide into groups of k.
    """
    n_captions, n_samples, _ = judged.true.shape
    if k < 1 or n_samples % k:
        raise ValueError(f"k is {k}; expected a divisor of {n_samples}")
    rows = torch.arange(n_captions)
    own = judged.cosines[rows, :, rows].unflatten(1, (-1, k))
    other = judged.cosines[rows, :, rows.roll(-1)].unflatten(1, (-1, k))
    counts = (judged.true & judged.said[:, None]).sum(dim=2)  # true statements of a sample
    # What a sample drawn for the caption before shows of a caption's statements.
    elsewhere = (judged.true.roll(1, dims=0) & judged.said[:, None]).sum(dim=2)
    held, foreign = counts.unflatten(1, (-1, k)).double(), elsewhere.unflatten(1, (-1, k)).double()
    n_groups = held.shape[1]
    whole = judged.said.sum(dim=1).double() * n_groups

    def of(values: Tensor, chosen: Tensor) -> Tensor:
        """Of a caption's groups, what the chosen samples have."""
        return values.gather(2, chosen[..., None])[..., 0].sum(dim=1)

    nearest = own.argmax(dim=2)
    found = {
        "random": held.mean(dim=2).sum(dim=1),
        "nearest": of(held, nearest),
        "misled": of(held, other.argmax(dim=2)),
        "best": held.amax(dim=2).sum(dim=1),
        "chance": of(foreign, nearest.roll(1, dims=0)),
    }
    draws = torch.Generator().manual_seed(seed)
    drawn = torch.randint(n_captions, (_DRAWS, n_captions), generator=draws)
    gain = found["nearest"] - found["random"]
    gains = gain[drawn].sum(dim=1) / whole[drawn].sum(dim=1)
    low, high = gains.quantile(torch.tensor([0.025, 0.975], dtype=gains.dtype)).tolist()
    result = {name: float(values.sum() / whole.sum()) for name, values in found.items()}
    return {"statements": int(whole.sum())} | result | {"low": low, "high": high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", default="scenes-dalle")
    parser.add_argument("--captions", type=int, default=96, help="the first ones of the generator")
    parser.add_argument("--samples", type=int, default=16, help="of each caption")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--groups", type=int, nargs="+", default=[4, 8, 16], help="k")
    options = parser.parse_args()
    generator = load_generator(options.generator)
    if not isinstance(generator, TakesPrompts):
        parser.error(f"{options.generator} takes no text; expected a generator of captions")
    clip = load_clip("scenes-clip")
    scorer = TextScorer(clip, templates=clip.known_templates())
    captions = list(generator.prompts[: options.captions])
    judged = judge(generator, scorer, captions, n=options.samples, seed=options.seed)
    for k in options.groups:
        print(json.dumps({"k": k} | {n: round(v, 4) for n, v in shares(judged, k).items()}))


if __name__ == "__main__":
    main()
