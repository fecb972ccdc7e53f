"""Text-to-image pipelines of diffusers as generators: noise and a prompt → image in a few steps.

    generator = load_generator("stable-diffusion?prompt=a house at night")
    generator = load_pipeline("pixart", prompts=["a tree", "a lake"], n_steps=20)

Reads folders of ``StableDiffusionPipeline`` (U-Net with cross-attention), ``PixArtAlphaPipeline``
and ``PixArtSigmaPipeline`` (transformer, DiT). A prompt is a class, selected by a sample's label.
Networks, schedulers and text encoders come from diffusers and transformers. Only safetensors and
JSON are read; nothing in a folder is run. The safety checker is not used: it would hide images.

Steps are DDIM's without further noise (η = 0), as in ``diffusers_unets``, so a latent has one image
for a prompt. With guidance s > 1 the network runs on the empty text and on the prompt at each step,
ε̂ = ε̂_empty + s (ε̂_prompt − ε̂_empty). The autoencoder decodes the last latent.

**Layers belong to a step**: ``t801/mid_block``. Traces see the prompt's maps; edits also change
those of the empty text. A transformer's tokens form a map: ``t801/transformer_blocks.3``.

**Cross-attention.** ``t801/….attn2`` is the mean share of attention from each place to each token:
unit k is ``words[k]``, 0 if the prompt lacks it. An edit scales the prompt's shares without
normalising them again. ``vae/decoder.…`` are the autoencoder's layers.

References:
    Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022.
    Chen et al., PixArt-α, ICLR 2024.
    Ho and Salimans, Classifier-Free Diffusion Guidance, 2022, equation 6.
    Tang et al., What the DAAM, ACL 2023 (attention to words as maps).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import CheckpointError, GeneratorError
from dissect.generators.checkpoint import read
from dissect.generators.diffusers_library import open_library, own_config, rename_attentions
from dissect.generators.diffusers_unets import (
    N_STEPS,
    SETTINGS,
    Scheduler,
    is_block,
    make_scheduler,
    probe,
)
from dissect.generators.pipeline_texts import KINDS, TextEncoder, Texts, read_text_encoder
from dissect.generators.prompts import prompt_weights
from dissect.generators.shapes import LayerInfo
from dissect.generators.states import build
from dissect.generators.taps import Tap, attention_factors, exchange, find_tap, grow
from dissect.generators.weights import Part, whole_part
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent
from segmenters.base import hash_tensors

_ATTENTION = ".attn2"
_DECODER_LAYERS = ("ResnetBlock2D", "Attention", "Upsample2D")
_LARGE_PIXART = 128  # latent size from which on PixArt is told the size of the image
_VAE_REDUCTION = 2  # of each stage of an autoencoder but the first


class TextDiffusion(nn.Module):
    """The network of a pipeline, its steps and its autoencoder.

    Args:
        network: Called at each step; gets hooks that stay.
        vae: ``diffusers.AutoencoderKL``.
        scheduler: Its steps set.
        paths: Of modules of the network that get a tap at every step.
        guidance: s.
    """

    def __init__(
        self,
        network: nn.Module,
        vae: nn.Module,
        scheduler: Scheduler,
        paths: Sequence[str],
        *,
        guidance: float,
    ) -> None:
        super().__init__()
        self.network, self.vae, self.scheduler = network, vae, scheduler
        self.guidance = guidance
        self.config = _config(network)
        self.now: str | None = None
        self.member = torch.zeros(0)
        self.taps = Tap()
        self.names = [f"t{int(t)}" for t in scheduler.timesteps]
        for name in self.names:
            for path in paths:
                grow(self.taps, f"{name}.{path}")
        for path in paths:
            module = network.get_submodule(path)
            if path.endswith(_ATTENTION):
                module.register_forward_hook(_Attention(self, path), with_kwargs=True)
            else:
                module.register_forward_hook(_Route(self, path))

    @property
    def is_guided(self) -> bool:
        """Whether the network also runs on the empty text."""
        return self.guidance > 1

    def tap(self, path: str) -> Tap | None:
        """A layer's tap at the present step; None where nothing hangs on it."""
        if self.now is None:  # the network was called from elsewhere
            return None
        found = find_tap(self.taps, f"{self.now}.{path}")
        return found if found.is_used else None

    def forward(
        self, z: Float[Tensor, "batch c h w"], empty: Texts, texts: Texts
    ) -> Float[Tensor, "batch channels size size"]:
        """Images of latents and prompts, DDIM with η = 0."""
        vectors, mask = texts.vectors, texts.mask
        if self.is_guided:
            vectors = torch.cat([empty.vectors.expand_as(vectors), vectors])
            if mask is not None and empty.mask is not None:
                mask = torch.cat([empty.mask.expand_as(mask), mask])
        self.member = texts.member
        sample = z
        for t, name in zip(self.scheduler.timesteps, self.names, strict=True):
            self.now = name
            try:
                given = torch.cat([sample, sample]) if self.is_guided else sample
                output = predict(self.network, given, t, vectors, mask)
            finally:
                self.now = None
            if self.is_guided:
                without, said = output.chunk(2)
                output = without + self.guidance * (said - without)
            # A network with twice the channels learned its variance too; η = 0 has none.
            output = output[:, : z.shape[1]]
            sample = self.scheduler.step(output, t, sample, eta=0.0, return_dict=False)[0]
        return self.decode(sample)

    def decode(self, sample: Tensor) -> Float[Tensor, "batch channels size size"]:
        """Images of latents without noise."""
        vae: Any = self.vae
        return vae.decode(sample / vae.config.scaling_factor, return_dict=False)[0]


def predict(
    network: nn.Module, sample: Tensor, t: Tensor, vectors: Tensor, mask: Tensor | None
) -> Tensor:
    """What a U-Net or a PixArt transformer says of x_t and texts."""
    if mask is None:
        return network(sample, t, encoder_hidden_states=vectors, return_dict=False)[0]
    n, size = len(sample), int(_config(network)["sample_size"])
    about: dict[str, Tensor | None] = {"resolution": None, "aspect_ratio": None}
    if size == _LARGE_PIXART:
        pixels = torch.tensor([8.0 * size, 8.0 * size]).to(sample)
        about = {"resolution": pixels.repeat(n, 1), "aspect_ratio": torch.ones(n, 1).to(sample)}
    return network(
        sample, encoder_hidden_states=vectors, encoder_attention_mask=mask, timestep=t.expand(n),
        added_cond_kwargs=about, return_dict=False,
    )[0]  # fmt: skip


class _Route:
    """Hook that passes a module's output through the tap of the present step."""

    def __init__(self, owner: TextDiffusion, path: str) -> None:
        self.owner, self.path = owner, path

    def __call__(self, module: nn.Module, inputs: tuple, output: Any) -> object:
        tap = self.owner.tap(self.path)
        if tap is None:
            return None
        maps = output if isinstance(output, Tensor) else output[0]
        halves = _as_maps(maps).chunk(2 if self.owner.is_guided else 1)
        edited = [tap(half) for half in halves]  # a trace keeps the last, the prompt's
        if all(new is old for new, old in zip(edited, halves, strict=True)):
            return None
        new = torch.cat(edited)
        new = new if maps.ndim == 4 else new.flatten(2).transpose(1, 2)
        if isinstance(output, Tensor):
            return new
        # Down blocks also list their output among the skips; it is the same map there.
        return (new, *(exchange(part, maps, new) for part in output[1:]))


def _as_maps(maps: Tensor) -> Float[Tensor, "batch unit side side"]:
    """Tokens (batch, place, unit) as a map; a map as it is."""
    if maps.ndim == 4:
        return maps
    side = round(maps.shape[1] ** 0.5)
    return maps.transpose(1, 2).unflatten(2, (side, side))


class _Attention:
    """Hook that passes the attention to words through the tap of the present step.

    What the module puts out stays the library's own; an edit adds what the changed shares of
    attention change of it.
    """

    def __init__(self, owner: TextDiffusion, path: str) -> None:
        self.owner, self.path = owner, path

    def __call__(
        self, module: Any, inputs: tuple, given: Mapping[str, Any], output: Tensor
    ) -> Tensor | None:
        tap = self.owner.tap(self.path)
        if tap is None:
            return None
        member = self.owner.member
        n = len(member)
        hidden, text = inputs[0][-n:], given["encoder_hidden_states"][-n:]
        mask = given.get("attention_mask")

        def split(values: Tensor) -> Tensor:
            return values.unflatten(2, (module.heads, -1)).transpose(1, 2)

        queries, keys = split(module.to_q(hidden)), split(module.to_k(text))
        scores = queries @ keys.transpose(2, 3) * queries.shape[-1] ** -0.5
        if mask is not None:
            scores = scores + mask[-n:, None]
        paid = scores.softmax(dim=-1)  # batch, head, place, token
        words = torch.einsum("bhpt,btw->bwp", paid, member) / module.heads
        side = round(words.shape[2] ** 0.5)
        maps = words.unflatten(2, (side, side))
        edited = tap(maps)
        if edited is maps:
            return None
        factors = attention_factors(words, edited.flatten(2), member)
        change = (paid * (factors - 1)[:, None]) @ split(module.to_v(text))
        added = functional.linear(change.transpose(1, 2).flatten(2), module.to_out[0].weight)
        added = added / module.rescale_output_factor
        return torch.cat([output[:-n], output[-n:] + added])


class TextToImageGenerator(ZOnlyGenerator[TextDiffusion]):
    """A pipeline as a generator, whose classes are prompts; follows the ``Generator`` protocol.

    Args:
        module: Network, steps and autoencoder.
        encoder: For other prompts.
        prompts: Text of each class.
        key: SHA-256 of weights and settings, without the prompts.
        maps: Path of each tapped module → units, height, width.
        name: See ``Generator``.
    """

    def __init__(
        self,
        module: TextDiffusion,
        encoder: TextEncoder,
        prompts: Sequence[str],
        *,
        key: str,
        maps: Mapping[str, tuple[int, int, int]],
        name: str,
    ) -> None:
        config = module.config
        side = int(config["sample_size"])
        super().__init__(
            module,
            name=name,
            z_shape=(int(config["in_channels"]), side, side),
            fingerprint=hash_tensors({}, "text to image", key, list(prompts)),
            n_classes=len(prompts),
        )
        self.encoder, self.prompts = encoder, tuple(prompts)
        self._key, self._maps = key, maps
        self._texts = encoder.encode(self.prompts)
        self._empty = encoder.encode([""])
        vae: Any = module.vae
        stages = len(vae.config.block_out_channels)
        self.image_size = side * _VAE_REDUCTION ** (stages - 1)
        self.channels = int(vae.config.out_channels)
        self.layers = self._list_layers()

    def _list_layers(self) -> dict[str, LayerInfo]:
        found = {}
        for name in self.module.names:
            for path, (units, height, width) in self._maps.items():
                names = self.words if path.endswith(_ATTENTION) else ()
                found[f"{name}/{path}"] = LayerInfo(
                    len(names) or units, height, width, f"taps.{name}.{path}", unit_names=names
                )
        side = self.spaces["z"].shape[1:]
        shapes = _probe_decoder(self.module, (1, self.spaces["z"].shape[0], *side))
        for path, shape in shapes.items():
            found[f"vae/{path}"] = LayerInfo(*shape, f"vae.{path}")
        return found

    @property
    def words(self) -> tuple[str, ...]:
        """Distinct tokens of the prompts: what the units of attention layers stand for."""
        return self._texts.words

    def with_prompts(self, prompts: Sequence[str], *, source: str) -> "TextToImageGenerator":
        """The same networks with other prompts; see ``TakesPrompts``."""
        name = f"{self.name.partition('?')[0]}{source}"
        found = TextToImageGenerator(
            self.module, self.encoder, prompts, key=self._key, maps=self._maps, name=name
        )
        found.take_source(self)
        return found

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch channels height width"]:
        """Images of latents and their labels' prompts; ``noise`` changes nothing.

        Raises:
            GeneratorError: a latent that is not of this generator.
        """
        weights = prompt_weights(self, latent)
        texts = self._texts.mix(weights.to(self.device))
        return self.module(self._z(latent).to(self.device), self._empty, texts)


@torch.no_grad()
def _probe_decoder(
    module: TextDiffusion, shape: tuple[int, ...]
) -> dict[str, tuple[int, int, int]]:
    """The maps of the autoencoder's decoder: path → units, height, width."""

    def call() -> None:
        module.decode(torch.zeros(shape, device=next(module.parameters()).device))

    def chosen(path: str, part: nn.Module) -> bool:
        return path.startswith("decoder.") and type(part).__name__ in _DECODER_LAYERS

    return probe(module.vae, call, chosen)


def matches(part: Part) -> bool:
    """Whether the folder is that of a pipeline known here, or of its network inside."""
    kind = KINDS.get(str(part.attributes.get("pipeline/_class_name")))
    return kind is not None and part.attributes.get("_class_name") == kind.network


def load_pipeline(
    path: str | Path,
    *,
    prompts: Sequence[str] = ("",),
    n_steps: int = N_STEPS,
    guidance: float | None = None,
    name: str | None = None,
    device: torch.device | str = "cpu",
) -> TextToImageGenerator:
    """The pipeline in a folder, with prompts, steps and guidance of one's choice.

    Args:
        path: Folder with ``model_index.json``.
        prompts: Text of each class.
        n_steps: Calls of the network for an image.
        guidance: s; None takes the library's default.
        name: What to call it; the folder's name if None.
        device: Where it should run.

    Raises:
        CheckpointError: see ``from_checkpoint``.
        GeneratorError: a number of steps out of range, or no prompt.
    """
    part, name = whole_part(read(path)), Path(path).stem if name is None else name
    if not matches(part):
        raise CheckpointError(
            f"{path} is not a text-to-image pipeline that is read here; expected a folder of "
            f"{', '.join(KINDS)}"
        )
    if not prompts:
        raise GeneratorError(f"no prompt was given for {name}; expected at least one")
    generator = from_checkpoint(part, name=name, device=device, n_steps=n_steps, guidance=guidance)
    return generator.with_prompts(prompts, source="")


def from_checkpoint(
    part: Part,
    *,
    name: str,
    device: torch.device | str,
    n_steps: int = N_STEPS,
    guidance: float | None = None,
) -> TextToImageGenerator:
    """The generator that a folder holds, with the empty text as its one prompt.

    Raises:
        CheckpointError: parts that are missing or damaged, a scheduler whose steps DDIM cannot
            take, or no diffusers or transformers installed.
        GeneratorError: a number of steps out of range.
    """
    title = str(part.attributes["pipeline/_class_name"])
    kind = KINDS[title]
    diffusers = open_library(part, title)
    home = part.path if (part.path / "model_index.json").is_file() else part.path.resolve().parent
    scheduler = make_scheduler(diffusers, part)
    most = int(scheduler.config["num_train_timesteps"])
    if not 1 <= n_steps <= most:
        raise GeneratorError(f"n_steps is {n_steps}; expected 1 to {most} for {name}")
    scheduler.set_timesteps(n_steps)
    config = own_config(part)
    _check_network(part, config)
    network = _build_filled(
        lambda: getattr(diffusers, kind.network).from_config(config), part.tensors, part.path,
        kind.network,
    ).to(device)  # fmt: skip
    encoder = read_text_encoder(kind, home, title, device)
    vae_part = whole_part(read(home / "vae"))
    vae = build(
        lambda: diffusers.AutoencoderKL.from_config(own_config(vae_part)),
        rename_attentions(vae_part.tensors), home / "vae", family="AutoencoderKL",
    ).to(device)  # fmt: skip
    strength = kind.guidance if guidance is None else guidance
    empty = encoder.encode([""])
    side, channels = int(config["sample_size"]), int(config["in_channels"])

    def call() -> None:
        zeros = torch.zeros(1, channels, side, side, device=device)
        predict(network, zeros, scheduler.timesteps[0], empty.vectors, empty.mask)

    maps = probe(network, call, _is_layer)
    module = TextDiffusion(network, vae, scheduler, list(maps), guidance=strength)
    settings = {key: scheduler.config[key] for key in SETTINGS}
    part.ledger.obeyed |= {f"scheduler/{key}": value for key, value in settings.items()}
    part.ledger.assumed |= {"steps": f"{n_steps}, DDIM's with η = 0", "guidance": f"{strength:g}"}
    plain = {key: value for key, value in config.items() if not key.startswith("_")}
    about = json.dumps([plain, settings, n_steps, strength], sort_keys=True)
    tensors = network.state_dict() | {
        f"{where}/{key}": value
        for where, one in (("vae", vae), ("text", encoder.network))
        for key, value in one.state_dict().items()
    }
    return TextToImageGenerator(
        module.eval().requires_grad_(False), encoder, [""],
        key=hash_tensors(tensors, title, about), maps=maps, name=name,
    )  # fmt: skip


def _is_layer(path: str, module: nn.Module) -> bool:
    is_token_block = path.startswith("transformer_blocks.") and path.count(".") == 1
    return is_block(path, module) or is_token_block or path.endswith(_ATTENTION)


def _check_network(part: Part, config: Mapping[str, Any]) -> None:
    """Refuse networks that need more than noise, a step and a text."""
    size = config.get("sample_size")
    if not isinstance(size, int) or not 1 <= size <= 4096:
        raise CheckpointError(
            f"{part.path} says sample_size is {str(size)[:40]}; expected one number, of squares; "
            "wrap it as package.module:factory"
        )
    for key in ("time_cond_proj_dim", "addition_embed_type", "class_embed_type"):
        if config.get(key) is not None:
            raise CheckpointError(
                f"{part.path} has a network with {key} {str(config[key])[:40]!r}, which needs more "
                "than noise and a text; expected one without; wrap it as package.module:factory"
            )


def _build_filled(
    make: Callable[[], nn.Module], tensors: Mapping[str, Tensor], path: Path, family: str
) -> nn.Module:
    """A network with a file's tensors, and with the buffers that no file holds."""
    network = build(make, tensors, path, family=family)
    missing = [name for name, buffer in network.named_buffers() if buffer.is_meta]
    if missing:
        fresh = dict(make().named_buffers())
        for name in missing:
            where, _, last = name.rpartition(".")
            network.get_submodule(where)._buffers[last] = fresh[name]
    return network


def _config(network: Any) -> Mapping[str, Any]:
    """The configuration of a network of diffusers."""
    config = network.config
    assert isinstance(config, Mapping)
    return config
