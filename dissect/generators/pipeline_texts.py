"""Kinds of text-to-image pipelines, and prompts as their text encoders encode them.

Tokenizers and text encoders come from transformers; only safetensors and JSON are read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import CheckpointError
from segmenters.received import reading


@dataclass(frozen=True)
class Kind:
    """What differs between pipelines.

    Attributes:
        network: Class of the network that is called at each step.
        text: Class of the text encoder, in transformers.
        guidance: The library's default s.
        n_tokens: Longest prompt; None takes the tokenizer's.
        lower: Whether prompts are put in lower case first.
    """

    network: str
    text: str
    guidance: float
    n_tokens: int | None = None
    lower: bool = False


KINDS: dict[str, Kind] = {
    "StableDiffusionPipeline": Kind("UNet2DConditionModel", "CLIPTextModel", 7.5),
    "PixArtAlphaPipeline": Kind("PixArtTransformer2DModel", "T5EncoderModel", 4.5, 120, True),
    "PixArtSigmaPipeline": Kind("PixArtTransformer2DModel", "T5EncoderModel", 4.5, 300, True),
}
"""Class of a pipeline → what differs."""


@dataclass(frozen=True)
class Texts:
    """Prompts, encoded.

    Attributes:
        vectors: Of each token (prompt, token, size).
        mask: 1 for tokens that count (prompt, token); None where all do.
        member: Which of ``words`` stands at which place (prompt, token, word).
        words: Distinct tokens of the prompts, in the order in which they appear.
    """

    vectors: Float[Tensor, "prompt token size"]
    mask: Float[Tensor, "prompt token"] | None
    member: Float[Tensor, "prompt token word"]
    words: tuple[str, ...]

    def mix(self, weights: Float[Tensor, "batch prompt"]) -> "Texts":
        """Those of a batch, mixed by the weights of its labels."""
        mask = None if self.mask is None else ((weights > 0).to(weights) @ self.mask).clamp(max=1)
        return replace(
            self,
            vectors=torch.einsum("bp,pts->bts", weights, self.vectors),
            mask=mask,
            member=torch.einsum("bp,ptw->btw", weights, self.member),
        )


class TextEncoder:
    """Tokenizer and text encoder of a pipeline.

    Args:
        kind: Of the pipeline.
        tokenizer, network: Of transformers.
    """

    def __init__(self, kind: Kind, tokenizer: Any, network: nn.Module) -> None:
        self.kind, self.tokenizer, self.network = kind, tokenizer, network
        self.n_tokens = kind.n_tokens or int(tokenizer.model_max_length)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Texts:
        """Encode prompts one by one, so that none depends on the others."""
        ids, masks, vectors = [], [], []
        for prompt in prompts:
            text = prompt.lower().strip() if self.kind.lower else prompt
            given = self.tokenizer(
                text, padding="max_length", max_length=self.n_tokens, truncation=True,
                return_tensors="pt",
            )  # fmt: skip
            device = next(self.network.parameters()).device
            mask = given.attention_mask.to(device) if self._masks else None
            ids.append(given.input_ids[0])
            masks.append(given.attention_mask[0])
            vectors.append(self.network(given.input_ids.to(device), attention_mask=mask)[0][0])
        tokens = torch.stack(ids)
        kinds = list(dict.fromkeys(tokens.flatten().tolist()))
        stacked = torch.stack(vectors)
        member = (tokens[..., None] == torch.tensor(kinds)).to(stacked)
        return Texts(
            stacked,
            torch.stack(masks).to(stacked) if self.kind.n_tokens else None,
            member,
            tuple(self.tokenizer.convert_ids_to_tokens(kinds)),
        )

    @property
    def _masks(self) -> bool:
        """Whether the encoder gets a mask of the padding tokens."""
        uses = getattr(self.network.config, "use_attention_mask", False)
        return bool(self.kind.n_tokens or uses)


def read_text_encoder(
    kind: Kind, home: Path, title: str, device: torch.device | str
) -> TextEncoder:
    """The tokenizer and the text encoder in a pipeline's folder.

    Args:
        kind: Of the pipeline.
        home: Its folder.
        title: Its class, for messages.
        device: Device to run on.

    Raises:
        CheckpointError: no transformers installed, or parts that are missing or damaged.
    """
    try:
        import transformers  # noqa: PLC0415
    except ImportError as error:
        raise CheckpointError(
            f"{home} is a {title}, whose text encoder is one of transformers, which is not "
            "installed; pip install 'gan-dissection[transformers]'"
        ) from error
    advice = "expected the folders that save_pretrained of the pipeline writes, as safetensors"
    with reading(home, CheckpointError, advice):
        with _no_progress_bar(transformers):
            network = getattr(transformers, kind.text).from_pretrained(
                home / "text_encoder", use_safetensors=True, local_files_only=True,
                dtype=torch.float32,
            )  # fmt: skip
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            home / "tokenizer", local_files_only=True, trust_remote_code=False
        )
    return TextEncoder(kind, tokenizer, network.to(device).eval().requires_grad_(False))


@contextmanager
def _no_progress_bar(transformers: Any) -> Iterator[None]:
    """Load without the library's own bar, which would stand between the lines of a command."""
    logging = transformers.utils.logging
    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
