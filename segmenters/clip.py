"""Words as a segmenter: ``clip:WORDS``; each pixel gets the word closest to its CLIP vector.

    clip:a window|a door|a tree
    clip:a window|a door,model=models/ViT-B-32,other=a wall|the sky,background=0.5

Let s be the softmax of scale · cos(pixel, word) over the words and the other words. A pixel gets
the word with the largest s, or nothing if s is below ``background`` or it is an other word.
The default of ``other`` is "an image". For the quality of the masks see ``segmenters.clip_models``.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from segmenters import class_names
from segmenters.clip_models import ClipModel, describe_unknown, load_clip
from segmenters.errors import SegmenterError
from segmenters.images import resize
from segmenters.network_segmenter import NetworkSegmenter
from segmenters.scenes_vocabulary import SCENES_CLIP
from segmenters.spec import Spec, parse_spec

OPTIONS = {
    "model": f"{SCENES_CLIP}_OR_FOLDER",
    "other": "WORDS",
    "background": "NUMBER",
    "zoom": "NUMBER",
}
_OTHER = "an image"
_BACKGROUND, _ZOOM = 0.3, 2


def load(text: str, device: torch.device | str = "cpu") -> NetworkSegmenter:
    """The segmenter of a spec.

    Args:
        text: ``clip:WORDS``, words or phrases separated by ``|``, with options: ``model``,
            ``other`` (words without a mask), ``background`` in [0, 1), and ``zoom`` (images are
            read at ``zoom`` times the model's size, 1 to 16).
        device: Device of the model.

    Raises:
        SegmenterError: no words, words that the model does not know, or an option out of range.
    """
    spec = parse_spec(text, OPTIONS)
    words = split_words(spec.target, text)
    others = split_words(spec.options.get("other", _OTHER), text)
    background = _number(spec, "background", _BACKGROUND, 0, 1)
    zoom = int(_number(spec, "zoom", _ZOOM, 1, 17))
    clip = load_clip(spec.options.get("model", SCENES_CLIP), device=device)
    unknown = describe_unknown(clip, words)
    if unknown is not None:
        raise SegmenterError(f"segmenter {text!r}: {unknown}, or another model with model=FOLDER")
    classes = class_names.from_labels(
        [*map(bare, words), *["background"] * (len(others) + 1)], plane="words", source=text
    )
    forward = _Forward(clip, words + others, background, zoom)
    side = zoom * clip.size  # a large image is read at that size, not enlarged from a smaller one
    reading = replace(clip.reading, size=(side, side))
    return NetworkSegmenter(
        text, clip.network, forward, classes, reading, device=device,
        settings=(words, others, background, zoom),
    )  # fmt: skip


def split_words(text: str, spec: str) -> list[str]:
    """Phrases of a list separated by ``|``.

    Raises:
        SegmenterError: an empty or repeated phrase.
    """
    words = [" ".join(word.split()) for word in text.split("|")]
    if not all(words) or len(set(map(bare, words))) < len(words):
        raise SegmenterError(
            f"{spec!r}: the words are {text!r}; expected different ones with | between them, such "
            "as 'a window|a door|a tree'"
        )
    return words


def bare(phrase: str) -> str:
    """A phrase without its article: the name of the concept."""
    first, _, rest = phrase.partition(" ")
    return rest if rest and first.lower() in ("a", "an", "the") else phrase


class _Forward:
    """The logits of words, of other words and of the background at each pixel of a read image."""

    def __init__(self, clip: ClipModel, words: list[str], background: float, zoom: int) -> None:
        self.clip, self.background, self.zoom = clip, background, zoom
        self.texts = clip.encode_texts(words, templates=clip.known_templates())

    def __call__(
        self, read: Float[Tensor, "1 3 rows columns"]
    ) -> Float[Tensor, "1 class rows columns"]:
        reading = self.clip.reading
        mean, std = (read.new_tensor(v)[:, None, None] for v in (reading.mean, reading.std))
        images = (read * std + mean) * 2 - 1
        places = functional.normalize(self.clip.dense(images, zoom=self.zoom), dim=1)
        logits = self.clip.scale * torch.einsum("behw,te->bthw", places, self.texts)
        logits = resize(logits, (read.shape[-2], read.shape[-1]))
        # Its logit is the largest exactly if every softmax is below the threshold.
        nothing = logits.logsumexp(dim=1, keepdim=True) + torch.tensor(self.background).log()
        return torch.cat([logits, nothing], dim=1)


def _number(spec: Spec, option: str, default: float, low: float, high: float) -> float:
    given = spec.options.get(option)
    if given is None:
        return default
    try:
        value = float(given)
    except ValueError:
        value = high
    if not low <= value < high:
        raise SegmenterError(
            f"segmenter {spec.text!r} has {option}={given}; expected a number from {low} to below "
            f"{high}"
        )
    return value
