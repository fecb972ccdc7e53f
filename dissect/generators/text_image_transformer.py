"""The transformer of DALL-E: predicts a caption's words and an image's codes, each from all before.

    <bos> word 1 … word T  code 1 … code N        N = grid², row by row

Training computes all positions of a sequence at once (``forward``). Sampling computes position by
position with the stored keys and values of earlier ones (``Memory``), which gives the same numbers.
A caption shorter than T ends in padding. Each position of the padding has its own code, also in
an empty caption. Training drops some captions, so that

    l = l_empty + s (l_caption − l_empty)

guides a sample towards its caption (s = 1 does not change it).

References:
    Ramesh et al., Zero-Shot Text-to-Image Generation, ICML 2021, section 2.2.
    Ho and Salimans, Classifier-Free Diffusion Guidance, 2022, equation 6 (the same rule).
    The rule of padding and the weights of the loss follow lucidrains' DALLE-pytorch.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import ConfigError, GeneratorError
from segmenters.nearest import did_you_mean

_WORD = re.compile(r"[^\W\d_]+|\d+")
_FEED = 4  # hidden units of a block's second part, per unit of width
_IMAGE_WEIGHT = 7  # weight in the loss; 1 for the text


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the transformer, and its vocabulary.

    Args:
        words: The vocabulary, in the order of tokens.
        n_words: Longest caption, T.
        grid: Height and width of the grid of codes.
        n_codes: Number of codes of the autoencoder.
        width: Units of a position.
        depth: Number of blocks.
        n_heads: Number of attention heads.
    """

    words: tuple[str, ...]
    n_words: int = 32
    grid: int = 8
    n_codes: int = 512
    width: int = 128
    depth: int = 4
    n_heads: int = 4

    def __post_init__(self) -> None:
        if not self.words or self.width % self.n_heads:
            raise ConfigError(
                f"{len(self.words)} words and width {self.width} of {self.n_heads} heads were "
                "given; expected at least one word, and a width that the heads divide"
            )

    @property
    def n_text(self) -> int:
        """Size of the vocabulary with its padding."""
        return len(self.words) + self.n_words


def split_words(text: str) -> list[str]:
    """The words of a caption, in lower case, without punctuation.

    Example:
        >>> split_words("A tree, in fog")
        ['a', 'tree', 'in', 'fog']
    """
    return _WORD.findall(text.lower())


def collect_words(captions: Sequence[str]) -> tuple[str, ...]:
    """The vocabulary of captions, sorted."""
    return tuple(sorted({word for text in captions for word in split_words(text)}))


def tokenise(captions: Sequence[str], config: TransformerConfig) -> Int[Tensor, "caption word"]:
    """Tokens of captions, padded to T; an empty caption is only padding.

    Raises:
        GeneratorError: a word outside the vocabulary, or more words than T.

    Example:
        >>> tokenise(["a tree"], TransformerConfig(("a", "tree"), n_words=3)).tolist()
        [[0, 1, 4]]
    """
    places = {word: place for place, word in enumerate(config.words)}
    rows = []
    for text in captions:
        words = split_words(text)
        odd = [word for word in words if word not in places]
        if odd:
            raise GeneratorError(
                f"the text {text[:80]!r} has the word {odd[0]!r}, which the generator has not "
                f"learned; {did_you_mean(odd[0], config.words)}expected some of its "
                f"{len(config.words)} words, such as {', '.join(config.words[:8])}; dissect "
                "inspect GENERATOR lists them"
            )
        if len(words) > config.n_words:
            raise GeneratorError(
                f"the text {text[:60]!r}… has {len(words)} words; expected at most {config.n_words}"
            )
        padding = range(len(config.words) + len(words), config.n_text)
        rows.append([places[word] for word in words] + list(padding))
    return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), config.n_words)


Attended = Callable[[Float[Tensor, "batch head query key"]], Float[Tensor, "batch head query key"]]
"""Reads and may change the attention of a block."""


class Memory:
    """Keys and values of a block's earlier positions; modified in place."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add new positions; returns all."""
        if self.keys is None or self.values is None:
            self.keys, self.values = keys, values
        else:
            self.keys = torch.cat([self.keys, keys], dim=2)
            self.values = torch.cat([self.values, values], dim=2)
        return self.keys, self.values


class Block(nn.Module):
    """x + attention(norm(x)), then x + two linear layers of norm(x)."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm0, self.norm1 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, _FEED * width), nn.GELU(), nn.Linear(_FEED * width, width)
        )

    def forward(
        self,
        x: Float[Tensor, "batch position width"],
        memory: Memory | None = None,
        attended: Attended | None = None,
    ) -> Float[Tensor, "batch position width"]:
        """Outputs at new positions.

        Args:
            x: New positions: all of a sequence, or the ones after those in ``memory``.
            memory: The new positions are added to it.
            attended: Called with the attention of the new positions to all.
        """
        batch, n_new, width = x.shape
        qkv = self.qkv(self.norm0(x)).reshape(batch, n_new, 3, self.n_heads, -1)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4)
        if memory is not None:
            keys, values = memory.extend(keys, values)
        attention = attend(queries, keys)
        if attended is not None:
            attention = attended(attention)
        seen = (attention @ values).transpose(1, 2).reshape(batch, n_new, width)
        x = x + self.out(seen)
        return x + self.feed(self.norm1(x))


def attend(
    queries: Float[Tensor, "batch head query size"], keys: Float[Tensor, "batch head key size"]
) -> Float[Tensor, "batch head query key"]:
    """Shares of attention, softmax(q kᵀ / √size); the last query belongs to the last key."""
    scores = queries @ keys.transpose(2, 3) * queries.shape[-1] ** -0.5
    n_new, n_all = scores.shape[2:]
    if n_new > 1:
        past = torch.ones(n_new, n_all, dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(~past.tril(n_all - n_new), float("-inf"))
    return scores.softmax(dim=-1)


class TextImageTransformer(nn.Module):
    """The transformer; see the module docstring.

    Example:
        >>> config = TransformerConfig(("tree",), n_words=2, grid=2, width=8, depth=1, n_heads=2)
        >>> tokens = torch.zeros(1, 2, 2, dtype=torch.int64)
        >>> TextImageTransformer(config)(tokenise(["tree"], config), tokens)[1].shape
        torch.Size([1, 4, 512])
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.text = nn.Embedding(config.n_text, width)
        self.image = nn.Embedding(config.n_codes, width)
        self.start = nn.Parameter(torch.zeros(width))
        self.places = nn.Parameter(torch.zeros(config.n_words + config.grid**2, width))
        self.blocks = nn.ModuleList(Block(width, config.n_heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.to_text = nn.Linear(width, config.n_text)
        self.to_image = nn.Linear(width, config.n_codes)
        for parameter in (self.start, self.places, self.text.weight, self.image.weight):
            nn.init.normal_(parameter, std=0.02)
        for block in self.blocks:
            assert isinstance(block, Block)
            for layer in (block.out, block.feed[2]):  # the sum added to x grows with the depth
                assert isinstance(layer, nn.Linear)
                nn.init.normal_(layer.weight, std=0.02 * config.depth**-0.5)

    def embed_text(self, words: Int[Tensor, "batch word"]) -> Float[Tensor, "batch word width"]:
        """Vectors of a caption's tokens, without positions."""
        return self.text(words)

    def open(self, text: Float[Tensor, "batch word width"]) -> Float[Tensor, "batch first width"]:
        """<bos> and a caption with positions: the T + 1 positions before any code."""
        start = self.start.expand(len(text), 1, -1)
        return torch.cat([start, text], dim=1) + self.places[: text.shape[1] + 1]

    def embed_code(
        self, codes: Int[Tensor, "batch n"], first: int
    ) -> Float[Tensor, "batch n width"]:
        """Vectors of codes ``first`` … of an image, with positions."""
        place = self.config.n_words + 1 + first
        return self.image(codes) + self.places[place : place + codes.shape[1]]

    def forward(
        self, words: Int[Tensor, "batch word"], tokens: Int[Tensor, "batch h w"]
    ) -> tuple[Float[Tensor, "batch word text"], Float[Tensor, "batch n code"]]:
        """Logits of every word and of every code, each from the sequence before it."""
        n_words = self.config.n_words
        codes = self.embed_code(tokens.flatten(1)[:, :-1], 0)
        x = torch.cat([self.open(self.embed_text(words)), codes], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.to_text(x[:, :n_words]), self.to_image(x[:, n_words:])

    def loss(
        self, words: Int[Tensor, "batch word"], tokens: Int[Tensor, "batch h w"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Cross-entropy per token in nats, weighted 1 : 7, of the text and of the image."""
        text, image = self(words, tokens)
        whole = 1 + _IMAGE_WEIGHT
        return {
            "text": _cross_entropy(text, words) / whole,
            "image": _cross_entropy(image, tokens.flatten(1)) * _IMAGE_WEIGHT / whole,
        }


def _cross_entropy(
    logits: Float[Tensor, "batch n token"], tokens: Int[Tensor, "batch n"]
) -> Float[Tensor, ""]:
    return functional.cross_entropy(logits.float().flatten(0, 1), tokens.flatten())
