"""Trains two towers on renders and captions, and measures them on new renders.

The contrastive loss of CLIP treats every other caption of a batch as wrong, although "clouds" is
true of most scenes. Here the ground truth is known: a caption is true of every image with all of
its facts. So the target is not the diagonal but the table of truth, with normalised rows (columns):

    contrast = ½ [mean over captions of CE(softmax over images, truth) + the same over images]

A softmax only orders the images of a batch. So that the cosine of a thing's word says by itself
whether the thing is there, each pair of an image and a word is also a yes-or-no question, with one
scale a and one offset b for all words; the same at each place of an image, with the facts of that
place. The vector of an image is the mean of those of its places.

    pairs = mean over images and words of BCE(sigmoid(a · cosine + b), truth)
    loss  = contrast + λ (pairs + pairs at places)

Each step has two crops of each render (the same scene with other things in it is the hardest
negative), one caption per crop, and all captions of one thing.

References:
    Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021,
    section 2.3 (the loss with the diagonal).
    Khosla et al., Supervised Contrastive Learning, 2020, equation 2 (several positives).
    Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023, section 3.2 (pairs).
"""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from open_clip.model import CustomTextCLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from dissect.worlds import (
    Caption,
    Scenes,
    describe_scenes,
    render_scenes,
    scene_facts,
    short_captions,
)
from recipes.rates import one_cycle
from recipes.scenes_gan.state import load_state, save_state
from recipes.tiny_clip.crops import SIZE, Renders, hide_unseen

TRAIN_SEED, TEST_SEED = 40_000, 10_000
_N_CONTEXT, _N_TOKENS = 42, 49408
_BATCH, _PEAK_RATE, _RISE = 64, 2e-3, 0.1
_N_CROPS = 2  # of each render of a batch
_PAIRS = 5.0  # λ
_OPENINGS, _OPENED = ("a drawing of {}", "a picture of {}", "an image of {}"), 0.3
_FIRST_SCALE, _LARGEST_SCALE = 10.0, 100.0
MODEL = {
    "embed_dim": 128,
    "vision_cfg": {
        "image_size": SIZE,
        "timm_model_name": "regnetx_002",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
    },
    "text_cfg": {
        "context_length": _N_CONTEXT,
        "vocab_size": _N_TOKENS,
        "width": 64,
        "heads": 4,
        "layers": 2,
    },
    "custom_text": True,
}
"""The model as configured in open_clip."""
PREPROCESS = {
    "size": SIZE, "mode": "RGB", "mean": [0.5] * 3, "std": [0.5] * 3,
    "interpolation": "bicubic", "resize_mode": "squash",
}  # fmt: skip
_EMBEDDING = "text.token_embedding.weight"


class Words:
    """Tokens of the captions, counted from 0 in the order of open_clip's own ids.

    The table of all 49,408 tokens would be most of the work of a step, and captions use few.
    """

    def __init__(self) -> None:
        self._tokenize = SimpleTokenizer(context_length=_N_CONTEXT)
        scenes = render_scenes(range(600), seed=TRAIN_SEED, size=32, n_threads=1)
        texts = [caption.text for caption in short_captions()]
        for variant in range(3):
            described = describe_scenes(scenes, range(600), seed=TRAIN_SEED, variant=variant)
            texts += [caption.text for caption in described]
        self.ids: Int[Tensor, " known"] = self._tokenize(texts).unique()
        self._place = torch.full((_N_TOKENS,), -1, dtype=torch.long)
        self._place[self.ids] = torch.arange(len(self.ids))

    def __call__(self, texts: Sequence[str]) -> Int[Tensor, "text context"]:
        """Indices of the tokens; the end token has the largest one, as the tower expects.

        Raises:
            ValueError: a text with a token that no caption has.
        """
        places = self._place[self._tokenize(list(texts))]
        if (places < 0).any():
            raise ValueError("a caption has a token that was not counted")
        return places


def make_model(n_tokens: int) -> CustomTextCLIP:
    """Both towers, untrained."""
    torch.manual_seed(0)
    config = {name: value for name, value in MODEL.items() if name != "custom_text"}
    config["text_cfg"] = MODEL["text_cfg"] | {"vocab_size": n_tokens}  # type: ignore[operator]
    model = CustomTextCLIP(**config, init_logit_scale=math.log(_FIRST_SCALE))  # type: ignore[arg-type]
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def truth_table(
    facts: Sequence[frozenset[str]], captions: Sequence[Caption]
) -> Bool[Tensor, "image caption"]:
    """Which captions are true of which images."""
    return torch.tensor([[c.facts <= held for c in captions] for held in facts])


def contrast(
    similarity: Float[Tensor, "image caption"], truth: Bool[Tensor, "image caption"]
) -> Float[Tensor, ""]:
    """The loss in the module docstring; rows and columns without any truth are left out.

    Args:
        similarity: Cosines times the scale.
        truth: See ``truth_table``.
    """
    total = similarity.new_zeros(())
    for logits, true in ((similarity, truth), (similarity.T, truth.T)):
        held = true.any(dim=1)
        target = true[held] / true[held].sum(dim=1, keepdim=True)
        total = total - (target * logits[held].log_softmax(dim=1)).sum(dim=1).mean() / 2
    return total


class Pairs(nn.Module):
    """The loss ``pairs`` of the module docstring, with its scale and offset."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.offset = nn.Parameter(torch.tensor(-3.0))

    def forward(
        self, cosines: Float[Tensor, "image caption"], truth: Bool[Tensor, "image caption"]
    ) -> Float[Tensor, ""]:
        logits = self.log_scale.exp() * cosines + self.offset
        return functional.binary_cross_entropy_with_logits(logits, truth.to(logits))


def encode_places(
    model: CustomTextCLIP, images: Float[Tensor, "batch 3 size size"]
) -> Float[Tensor, "batch place embedding"]:
    """Vectors of the places of images, row by row; their mean is the image's own vector."""
    visual: Any = model.visual
    features = visual.trunk.forward_features(images)
    return torch.einsum("bchw,ec->bhwe", features, visual.head.proj.weight).flatten(1, 2)


def encode_texts(
    model: CustomTextCLIP, tokens: Int[Tensor, "text context"]
) -> Float[Tensor, "text embedding"]:
    """Unit vectors of texts, as ``model.encode_text``, without the work for padding."""
    tower: Any = model.text
    ends = tokens.argmax(dim=1)
    length = int(ends.max()) + 1
    x = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]
    x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
    return functional.normalize(x[torch.arange(len(x)), ends] @ tower.text_projection, dim=-1)


def load_start(model: CustomTextCLIP, folder: Path, ids: Int[Tensor, " known"]) -> None:
    """Put the weights of a released folder into a model; new words keep their own start."""
    tensors = load_file(folder / "open_clip_model.safetensors")
    known = tensors.pop(_EMBEDDING)[ids].float()
    own = model.state_dict()[_EMBEDDING]
    tensors[_EMBEDDING] = torch.where(known.abs().amax(dim=1, keepdim=True) > 0, known, own)
    model.load_state_dict({name: value.to(own.dtype) if value.is_floating_point() else value
                           for name, value in tensors.items()})  # fmt: skip


def train(
    folder: Path, *, n_images: int, n_renders: int, start: Path | None = None, every: int = 1920
) -> CustomTextCLIP:
    """Train to the end, or resume an interrupted training.

    Args:
        folder: Folder of the renders and the state.
        n_images: Total number of crops; the learning rate follows one cycle over them.
        n_renders: Number of renders in the folder's file.
        start: Released folder of towers to start from; None: untrained towers.
        every: Images between two saves, a multiple of the batch.
    """
    words, renders = Words(), Renders(folder / "renders.npz")
    short = short_captions()
    model, pairs = make_model(len(words.ids)), Pairs()
    adam, adam_pairs = (
        torch.optim.AdamW(part.parameters(), lr=_PEAK_RATE, betas=(0.9, 0.98), weight_decay=decay)
        for part, decay in ((model, 0.02), (pairs, 0.0))
    )
    path = folder / "state.safetensors"
    modules, seen = {"model": model, "pairs": pairs}, 0
    optimizers = {"adam": ("model", adam), "adam_pairs": ("pairs", adam_pairs)}
    if path.exists():
        seen = int(load_state(path, modules, optimizers)["seen"])
    elif start is not None:
        load_start(model, start, words.ids)
    model.train()
    since, losses = time.monotonic(), []
    while seen < n_images:
        for group in (*adam.param_groups, *adam_pairs.param_groups):
            group["lr"] = _PEAK_RATE * one_cycle(seen / n_images, rise=_RISE)
        step = seen // _BATCH
        draws = np.random.default_rng([TRAIN_SEED, 1, step])
        rows = draws.choice(n_renders, _BATCH // _N_CROPS, replace=False).repeat(_N_CROPS).tolist()
        batch = renders.batch(rows, seed=TRAIN_SEED, step=step)
        places = encode_places(model, batch.images.contiguous(memory_format=torch.channels_last))
        images = functional.normalize(places.mean(dim=1), dim=-1)
        opened = [
            _OPENINGS[draws.integers(len(_OPENINGS))] if draws.random() < _OPENED else "{}"
            for _ in short
        ]
        alone = encode_texts(
            model, words([o.format(c.text) for o, c in zip(opened, short, strict=True)])
        )
        own = encode_texts(model, words([c.text for c in batch.captions]))
        truth = truth_table(batch.facts, [*batch.captions, *short])
        loss = contrast(model.logit_scale.exp() * images @ torch.cat([own, alone]).T, truth)
        loss = loss + _PAIRS * pairs(images @ alone.T, truth[:, len(own) :])
        at_places = functional.normalize(places.flatten(0, 1), dim=-1) @ alone.T
        loss = loss + _PAIRS * pairs(at_places, truth_table(batch.places, short))
        for optimizer in (adam, adam_pairs):
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in (adam, adam_pairs):
            optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(_LARGEST_SCALE))
        losses.append(loss.item())
        seen += _BATCH
        if seen % every == 0 or seen >= n_images:
            rate = len(losses) * _BATCH / (time.monotonic() - since)
            line = {"images": seen, "loss": round(sum(losses) / len(losses), 4)}
            line["scale"] = round(model.logit_scale.exp().item(), 2)
            print(json.dumps(line | {"images_per_s": round(rate, 1)}), flush=True)
            save_state(path, modules, optimizers, {"seen": seen})
            since, losses = time.monotonic(), []
    return model.eval()


def release(model: CustomTextCLIP, folder: Path) -> None:
    """Write the folder for open_clip: its configuration, and float16 weights.

    Tokens that no caption contains have a row of zeros.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().half().contiguous() if value.is_floating_point() else value
               for name, value in model.state_dict().items()}  # fmt: skip
    known = tensors[_EMBEDDING]
    table = known.new_zeros(_N_TOKENS, known.shape[1])
    table[Words().ids] = known
    partial = folder / "open_clip_model.safetensors.partial"
    save_file(tensors | {_EMBEDDING: table}, partial)
    partial.replace(folder / "open_clip_model.safetensors")
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n")


@torch.no_grad()
def evaluate(folder: Path, *, n_images: int) -> dict[str, Any]:
    """Measure the released folder on new renders, without changes.

    Returns:
        ``recall``: share of images whose own caption is among the best 1 and 5 of all, and of
            captions whose own image is; ``true``: share of captions that are true of their best
            image, and the share over all images; ``auc``: for each fact the probability that an
            image with it is closer to its words than one without it (½ by chance), and the number
            of images with it; ``auc in crops``: the same of two crops of each image.
    """
    from segmenters.clip_models import load_clip  # noqa: PLC0415

    clip = load_clip(str(folder))
    scenes = render_scenes(range(n_images), seed=TEST_SEED, size=SIZE, n_threads=1)
    captions = longest(scenes, n_images)
    images = torch.cat([clip.encode_images(part) for part in scenes.images.split(64)])
    texts = clip.encode_texts([caption.text for caption in captions])
    similarity = images @ texts.T
    facts = scene_facts(scenes)
    truth = truth_table(facts, captions)
    best = similarity.argmax(dim=0)
    found = {
        "seed": TEST_SEED,
        "n": n_images,
        "n_tokens": len(Words().ids) - 3,  # without padding, start and end
        "words per caption": float(np.mean([len(c.text.split()) for c in captions])),
        "recall": {
            f"{way} @{k}": _recall(table, k)
            for way, table in (("image to caption", similarity), ("caption to image", similarity.T))
            for k in (1, 5)
        },
        "true": truth[best, torch.arange(n_images)].float().mean().item(),
        "true by chance": truth.float().mean().item(),
        "auc": areas(clip, images, facts),
    }
    cut, held = cut_crops(scenes, np.random.default_rng(TEST_SEED))
    found["auc in crops"] = areas(
        clip, torch.cat([clip.encode_images(part) for part in cut.split(64)]), held
    )
    return found


def areas(
    clip: Any, images: Float[Tensor, "n embedding"], facts: Sequence[frozenset[str]]
) -> dict[str, tuple[float, int]]:
    """Words → area under the curve, and the number of images with their fact.

    Facts of fewer than ten images, and those that fewer than ten do not have, are left out.
    """
    wordings: dict[frozenset[str], list[str]] = {}
    for caption in short_captions():
        wordings.setdefault(caption.facts, []).append(caption.text)
    found = {}
    for said, texts_of in wordings.items():
        held = np.array([said <= own for own in facts])
        if 10 <= held.sum() <= len(facts) - 10:
            scores = (images @ clip.encode_texts(texts_of).mean(dim=0)).numpy()
            found[texts_of[0]] = (area_under_curve(scores, held), int(held.sum()))
    return found


def cut_crops(
    scenes: Scenes, draws: np.random.Generator
) -> tuple[Float[Tensor, "crop 3 size size"], list[frozenset[str]]]:
    """Two random squares of each scene, with sides of 0.45 to 0.75, and the facts of each."""
    images, facts = [], []
    hidden = hide_unseen(scenes.attributes)
    for row in range(len(scenes)):
        for _ in range(2):
            side = round(float(draws.uniform(0.45, 0.75)) * SIZE)
            top, left = (int(draws.integers(SIZE - side + 1)) for _ in range(2))
            window = (slice(row, row + 1), ..., slice(top, top + side), slice(left, left + side))
            crop = Scenes(scenes.images[window], scenes.planes[window], hidden[row : row + 1])
            facts += scene_facts(crop)
            images.append(functional.interpolate(crop.images, (SIZE, SIZE), mode="bilinear"))
    return torch.cat(images), facts


def longest(scenes: Any, n_images: int) -> list[Caption]:
    """The caption with most facts of eight captions of each scene."""
    rows = [describe_scenes(scenes, range(n_images), seed=TEST_SEED, variant=v) for v in range(8)]
    return [max(own, key=lambda caption: len(caption.facts)) for own in zip(*rows, strict=True)]


def _recall(similarity: Float[Tensor, "n n"], k: int) -> float:
    own = similarity.diagonal()[:, None]
    return ((similarity > own).sum(dim=1) < k).float().mean().item()


def area_under_curve(scores: np.ndarray, held: np.ndarray) -> float:
    """P(score with the fact > score without it), ties count half: Mann-Whitney's U."""
    above = scores[held][:, None] - scores[~held][None, :]
    return float((above > 0).mean() + (above == 0).mean() / 2)
