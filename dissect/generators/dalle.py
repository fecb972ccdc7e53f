"""DALL-E: a caption becomes codes, one after the other, and the codes become an image.

    generator = load_generator("scenes-dalle")                      # captions of its own
    generator = load_generator("scenes-dalle?prompt=a house at night")

The latent z holds a standard normal value for each code at each place of the grid. It is what
chance decides: with Gumbel noise g = −log(−log Φ(z)), the code at a place is

    argmax over codes of  l + g,        l = l_empty + s (l_caption − l_empty)

which draws codes with the probabilities softmax(l) (the Gumbel-max trick), so a latent and a
caption have one image. All but the ``top_k`` likeliest codes are left out, and s is the guidance.

**Layers.** ``blocks.N`` is what the transformer's block N holds where it decides the code of a
place: a map of the grid. ``blocks.N.attention`` is the share of attention that the place pays to
each word of the vocabulary, in the mean over heads and summed over the places of the word in the
caption: unit k is ``words[k]``, 0 where the caption lacks it. ``decoder.…`` are the layers of the
autoencoder. An edit of a transformer's layer acts at each place before its code is chosen, so it
changes the codes behind it too; an edit of attention scales what all heads pay to the word.

Codes are whole, so gradients pass through their choice as if it were the soft one,
softmax(l + g), and not through l: of the caption and of the transformer's layers there are none.

The transformer runs in float64 where the device has it: the sums of a batch differ in their last
bits from those of one sample, and in float32 that would exchange a code now and then.

References:
    Ramesh et al., Zero-Shot Text-to-Image Generation, ICML 2021.
    Maddison, Tarlow and Minka, A* Sampling, NeurIPS 2014 (the Gumbel-max trick).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import ConfigError
from dissect.generators.discrete_vae import DiscreteVAE, VAEConfig
from dissect.generators.native import build_native, save_native
from dissect.generators.prompts import prompt_weights
from dissect.generators.shapes import LayerInfo
from dissect.generators.taps import Tap, attention_factors, find_tap, grow
from dissect.generators.text_image_transformer import (
    Attended,
    Memory,
    TextImageTransformer,
    TransformerConfig,
    tokenise,
)
from dissect.generators.weights import Part
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent
from segmenters.base import hash_tensors

FORMAT = "gan-dissection/dalle"
_DECODER = ("codes", "res0", "res1", "up0", "res2", "up1")


@dataclass(frozen=True)
class DalleConfig:
    """Both networks, and how codes are drawn.

    Args:
        vae, transformer: Their sizes.
        prompts: Captions of its own.
        guidance: s; 1 draws as trained, more follows the caption more closely.
        top_k: Codes that may be drawn at a place; None means all.
    """

    vae: VAEConfig
    transformer: TransformerConfig
    prompts: tuple[str, ...]
    guidance: float = 1.0
    top_k: int | None = None

    def __post_init__(self) -> None:
        if (self.vae.grid, self.vae.n_codes) != (self.transformer.grid, self.transformer.n_codes):
            raise ConfigError(
                f"the autoencoder has a grid of {self.vae.grid} and {self.vae.n_codes} codes, the "
                f"transformer {self.transformer.grid} and {self.transformer.n_codes}; expected the "
                "same"
            )
        top_k = self.vae.n_codes if self.top_k is None else self.top_k
        if not self.prompts or self.guidance < 0 or not 1 <= top_k <= self.vae.n_codes:
            raise ConfigError(
                f"{len(self.prompts)} prompts, guidance {self.guidance} and top_k {self.top_k} "
                f"were given; expected a prompt, at least 0, and 1 to {self.vae.n_codes}"
            )

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "DalleConfig":
        """From what ``asdict`` gave and JSON kept."""
        vae, transformer = dict(values["vae"]), dict(values["transformer"])
        vae["widths"], transformer["words"] = tuple(vae["widths"]), tuple(transformer["words"])
        rest = {k: v for k, v in values.items() if k not in ("vae", "transformer", "prompts")}
        return cls(
            VAEConfig(**vae), TransformerConfig(**transformer), tuple(values["prompts"]), **rest
        )


class DalleWeights(nn.Module):
    """Both networks as a file holds them."""

    def __init__(self, config: DalleConfig) -> None:
        super().__init__()
        self.config = config
        self.vae = DiscreteVAE(config.vae)
        self.transformer = TextImageTransformer(config.transformer)


class _Map:
    """The maps of one pass through a tap, filled place by place; modified in place."""

    def __init__(self, tap: Tap, n: int, units: int, grid: int) -> None:
        self.tap, self.grid = tap, grid
        self.values = torch.zeros(0)
        self.shape = (n, units, grid * grid)

    def through(self, values: Float[Tensor, "batch unit"], place: int) -> Tensor | None:
        """What the tap makes of a place, in the precision of maps; None where it changes nothing.

        The tap sees all places so far, so that edits with regions know where they are.
        """
        if not place:
            self.values = torch.zeros(self.shape, device=values.device)
        self.values[:, :, place] = values.float()
        maps = self.values.unflatten(2, (self.grid, self.grid))
        edited = self.tap(maps)
        return None if edited is maps else edited.flatten(2)[:, :, place]


class Dalle(nn.Module):
    """Transformer and decoder with taps; called with z and captions.

    Args:
        weights: Frozen.
    """

    def __init__(self, weights: DalleWeights) -> None:
        super().__init__()
        self.config = weights.config
        self.decoder = weights.vae.decoder
        self.transformer = weights.transformer
        self.taps = Tap()
        for number in range(self.config.transformer.depth):
            grow(self.taps, f"blocks.{number}.attention")

    def tokens(
        self,
        gumbel: Float[Tensor, "batch code h w"],
        text: Float[Tensor, "batch word width"],
        member: Float[Tensor, "batch word vocabulary"],
        empty: Float[Tensor, "1 word width"],
    ) -> tuple[Int[Tensor, "batch h w"], Float[Tensor, "batch code h w"]]:
        """Codes drawn one after the other, and the logits that each was drawn from.

        Args:
            gumbel: Noise for every code at every place.
            text: Captions as vectors.
            member: Which word of the vocabulary stands at which place of a caption.
            empty: The empty caption.
        """
        sizes, n = self.config.transformer, len(text)
        n_places, guided = sizes.grid**2, self.config.guidance != 1
        noise = gumbel.flatten(2)
        all_text = torch.cat([empty.expand_as(text), text]) if guided else text
        opened = self.transformer.open(all_text)
        memories = [Memory() for _ in self.transformer.blocks]
        x = opened[:, :-1]
        for block, memory in zip(self.transformer.blocks, memories, strict=True):
            x = block(x, memory)
        passes = self._passes(n, guided=guided)
        chosen, kept = [], []
        x = opened[:, -1:]
        for place in range(n_places):
            for number, block in enumerate(self.transformer.blocks):
                maps = passes[number]
                x = block(x, memories[number], self._attended(number, maps, place, member))
                x = _through(maps.states, x, place)
            logits = self.transformer.to_image(self.transformer.norm(x[:, 0]))
            if guided:
                without, with_text = logits[:n], logits[n:]
                logits = without + self.config.guidance * (with_text - without)
            logits = _keep_largest(logits, self.config.top_k)
            code = (logits + noise[:, :, place]).argmax(dim=1)
            chosen.append(code)
            kept.append(logits)
            if place < n_places - 1:
                again = torch.cat([code, code]) if guided else code
                x = self.transformer.embed_code(again[:, None], place)
        shape = (sizes.grid, sizes.grid)
        tokens = torch.stack(chosen, dim=1).unflatten(1, shape)
        return tokens, torch.stack(kept, dim=2).unflatten(2, shape)

    def _passes(self, n: int, *, guided: bool) -> "list[_BlockMaps]":
        """Maps of each block: of the empty caption, where there is guidance, then of the caption's.

        In this order a trace keeps the caption's.
        """
        found = []
        sizes = self.config.transformer
        for number in range(sizes.depth):
            tap = find_tap(self.taps, f"blocks.{number}")
            attention = find_tap(tap, "attention")
            states = [_Map(tap, n, sizes.width, sizes.grid) for _ in range(1 + guided)]
            words = _Map(attention, n, len(sizes.words), sizes.grid)
            found.append(_BlockMaps(states, words))
        return found

    def _attended(
        self,
        number: int,
        maps: "_BlockMaps",
        place: int,
        member: Float[Tensor, "batch word vocabulary"],
    ) -> Attended | None:
        """What hands the attention of a block to its tap; None where nothing hangs there."""
        if not maps.words.tap.is_used:
            return None
        n, n_words = len(member), self.config.transformer.n_words

        def attended(
            attention: Float[Tensor, "both head 1 key"],
        ) -> Float[Tensor, "both head 1 key"]:
            paid = attention[-n:, :, 0, 1 : 1 + n_words].mean(dim=1)  # behind <bos>
            words = torch.einsum("bp,bpw->bw", paid, member)
            edited = maps.words.through(words, place)
            if edited is None:
                return attention
            factors = attention_factors(words[:, :, None], edited[:, :, None], member)
            changed = attention.clone()
            changed[-n:, :, :, 1 : 1 + n_words] *= factors[:, None]
            return changed

        return attended

    def forward(
        self,
        z: Float[Tensor, "batch code h w"],
        text: Float[Tensor, "batch word width"],
        member: Float[Tensor, "batch word vocabulary"],
        empty: Float[Tensor, "1 word width"],
    ) -> Float[Tensor, "batch channels size size"]:
        """Images of latents and captions; see ``tokens``."""
        precision = self.transformer.start.dtype
        gumbel = -(-torch.special.log_ndtr(z.to(precision))).log()
        with torch.no_grad():
            tokens, logits = self.tokens(gumbel.detach(), text, member, empty)
        codes = functional.one_hot(tokens, z.shape[1]).movedim(-1, 1).float()
        if gumbel.requires_grad:
            soft = (logits + gumbel).softmax(dim=1).float()
            codes = codes + (soft - soft.detach())
        return self.decoder(codes)


@dataclass(frozen=True)
class _BlockMaps:
    """Where the maps of a block go through its taps in one pass."""

    states: list[_Map]
    words: _Map


def _through(
    maps: Sequence[_Map], x: Float[Tensor, "both 1 width"], place: int
) -> Float[Tensor, "both 1 width"]:
    """Hand a block's output at a place through its tap, for the empty caption first."""
    if not maps[0].tap.is_used:
        return x
    parts = []
    for one, part in zip(maps, x[:, 0].chunk(len(maps)), strict=True):
        edited = one.through(part, place)
        # The difference, since maps are float32 and what nobody changed stays as it is.
        change = 0 if edited is None else (edited - part.float()).to(part.dtype)
        parts.append(part + change)
    return torch.cat(parts)[:, None]


def _keep_largest(
    logits: Float[Tensor, "batch code"], top_k: int | None
) -> Float[Tensor, "batch code"]:
    if top_k is None:
        return logits
    least = logits.topk(top_k, dim=1).values[:, -1:]
    return logits.masked_fill(logits < least, float("-inf"))


class DalleGenerator(ZOnlyGenerator[Dalle]):
    """DALL-E as a generator, whose classes are captions; follows the ``Generator`` protocol.

    Args:
        weights: Both networks, in eval mode.
        name, device: See ``Generator``.
        key: SHA-256 of weights and configuration, if it is known.
    """

    def __init__(
        self,
        weights: DalleWeights,
        *,
        name: str,
        device: torch.device | str = "cpu",
        key: str | None = None,
    ) -> None:
        config, state = weights.config, weights.state_dict()
        self._weights, self.config = weights, config
        super().__init__(
            Dalle(weights).eval().requires_grad_(False),
            name=name,
            z_shape=(config.vae.n_codes, config.vae.grid, config.vae.grid),
            fingerprint=key or hash_tensors(state, "dalle", asdict(config)),
            n_classes=len(config.prompts),
        )
        place = torch.device(device)
        self.module.to(place)
        if place.type != "mps":  # has no float64
            self.module.transformer.double()
        self.channels, self.image_size = config.vae.channels, config.vae.size
        self.layers = _list_layers(config)
        self.captioned = _Captions(self.module.transformer, config)

    @property
    def prompts(self) -> tuple[str, ...]:
        """Caption of each class."""
        return self.config.prompts

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary: what the units of ``blocks.N.attention`` stand for."""
        return self.config.transformer.words

    def with_prompts(self, prompts: Sequence[str], *, source: str) -> "DalleGenerator":
        """The same weights with other captions; see ``TakesPrompts``."""
        return self._changed(source, prompts=tuple(prompts))

    def with_guidance(self, guidance: float) -> "DalleGenerator":
        """The same weights and captions, drawn with another s.

        Raises:
            ConfigError: below 0.
        """
        return self._changed("", guidance=guidance)

    def _changed(self, source: str, **changes: Any) -> "DalleGenerator":
        weights = copy.copy(self._weights)
        config = asdict(self.config) | changes
        weights.config = DalleConfig.from_plain(config)
        key = hash_tensors({}, "dalle", self.fingerprint, changes)
        base = self.name.partition("?")[0]
        name = f"{base}{source}" if source else self.name
        found = DalleGenerator(weights, name=name, device=self.device, key=key)
        found.take_source(self)
        return found

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch channels height width"]:
        """Images in [-1, 1]; z is all that chance decides, so ``noise`` changes nothing.

        Raises:
            GeneratorError: a latent that is not of this generator.
        """
        weights = prompt_weights(self, latent)
        text, member = self.captioned.mix(weights)
        return self.module(self._z(latent).to(self.device), text, member, self.captioned.empty)


class _Captions:
    """Captions as the transformer takes them.

    Attributes:
        text: Vectors of each caption (caption, word, width).
        member: 1 where a word of the vocabulary stands (caption, word, vocabulary).
        empty: Vectors of the empty caption (1, word, width).
    """

    def __init__(self, transformer: TextImageTransformer, config: DalleConfig) -> None:
        sizes = config.transformer
        tokens = tokenise(["", *config.prompts], sizes).to(transformer.start.device)
        with torch.no_grad():
            vectors = transformer.embed_text(tokens)
        self.empty, self.text = vectors[:1], vectors[1:]
        member = functional.one_hot(tokens[1:], sizes.n_text)[:, :, : len(sizes.words)]
        self.member = member.to(vectors.dtype)

    def mix(self, weights: Float[Tensor, "batch caption"]) -> tuple[Tensor, Tensor]:
        """Captions of a batch, mixed by the weights of its labels."""
        weights = weights.to(self.text)
        return (
            torch.einsum("bc,cpw->bpw", weights, self.text),
            torch.einsum("bc,cpw->bpw", weights, self.member),
        )


def _list_layers(config: DalleConfig) -> dict[str, LayerInfo]:
    sizes, grid = config.transformer, config.vae.grid
    found = {}
    for number in range(sizes.depth):
        path = f"blocks.{number}"
        for name, units, names in (
            (f"{path}.attention", len(sizes.words), sizes.words),
            (path, sizes.width, ()),
        ):
            found[name] = LayerInfo(units, grid, grid, f"taps.{name}", unit_names=names)
    half, quarter, eighth = config.vae.widths
    shapes = {
        "codes": (eighth, 1), "res0": (eighth, 1), "res1": (eighth, 1),
        "up0": (quarter, 2), "res2": (quarter, 2), "up1": (half, 4),
    }  # fmt: skip
    for name in _DECODER:
        units, times = shapes[name]
        side = grid * times
        found[f"decoder.{name}"] = LayerInfo(units, side, side, f"decoder.{name}")
    return found


def save_dalle(weights: DalleWeights, path: Path, *, half: bool) -> None:
    """Write weights and configuration; see ``save_native``."""
    save_native(path, format=FORMAT, config=weights.config, state=weights.state_dict(), half=half)


def matches(part: Part) -> bool:
    """Whether the file is this project's own DALL-E."""
    return part.attributes.get("format") == FORMAT


def from_checkpoint(part: Part, *, name: str, device: torch.device | str) -> DalleGenerator:
    """The generator that a file holds.

    Raises:
        CheckpointError: a configuration that cannot be built, or tensors that do not fit it.
    """
    weights = build_native(part, lambda config: DalleWeights(DalleConfig.from_plain(config)))
    return DalleGenerator(weights.eval(), name=name, device=device)
