"""CLIP through open_clip: images and words as vectors of one space, from local files.

    load_clip("scenes-clip")                     comes with the package: drawn scenes, their words
    load_clip("models/ViT-B-32-laion2b")         a folder: open_clip_config.json and its weights
    load_clip("ViT-B-32@weights.safetensors")    an architecture of open_clip and a file

Nothing is downloaded and no code of a file is run. Images are read as in the model's training
(size, interpolation, mean and deviation), so a text and an image have open_clip's cosine.

``ClipModel.dense`` gives a vector of the same space for each place of an image:

- a convolutional tower that ends in a mean over places and a linear map: the map of each
  place. Their mean is exactly the image's own vector.
- a vision transformer: each token of the last block attends only to itself (MaskCLIP).
- CLIP's ResNet: the value of each place in its attention pooling (MaskCLIP).

Dense vectors of a CLIP were never trained to represent their place, so they are rough: good for
large things and materials, poor at borders and for small things. See docs/text.md for measured IoU.

References:
    Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021.
    Zhou, Loy and Dai, Extract Free Dense Labels from CLIP, ECCV 2022 (MaskCLIP), section 3.2.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from segmenters.base import hash_tensors
from segmenters.errors import SegmenterError
from segmenters.hub import read_json
from segmenters.images import check_images, resize
from segmenters.reading import Reading, average_tiles
from segmenters.scenes_vocabulary import SCENES_CLIP

CONFIG = "open_clip_config.json"
TEMPLATES = ("{}", "a picture of {}", "an image of {}", "a drawing of {}", "a photo of {}")
"""Sentences for a text; the mean of their vectors represents it."""
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_PROBE_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class ClipModel:
    """Both towers of a model; made by ``load_clip``.

    Args:
        name: Name for ``load_clip``.
        network: open_clip's own module, frozen, in eval mode.
        tokenize: Texts → tokens.
        reading: Preparation of images.
        fingerprint: Hex digest of weights and preparation.
    """

    name: str
    network: Any
    tokenize: Any
    reading: Reading
    fingerprint: str

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def size(self) -> int:
        """Height and width in pixels at which an image is read."""
        assert self.reading.size is not None
        return self.reading.size[0]

    @property
    def scale(self) -> float:
        """Trained factor of cosines before a softmax."""
        return float(self.network.logit_scale.detach().exp())

    def read(
        self, images: Float[Tensor, "batch 3 height width"], *, zoom: int = 1
    ) -> Float[Tensor, "batch 3 side side"]:
        """Images in [-1, 1] as input of the image tower, ``zoom`` times ``size``; differentiable.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        check_images(images, self.device, name=self.name)
        side = zoom * self.size
        sized = resize(images.clamp(-1, 1), (side, side), mode=self.reading.mode, antialias=True)
        return self.reading.scale(sized.clamp(-1, 1))  # bicubic overshoots

    def encode_images(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embedding"]:
        """Unit vectors of images in [-1, 1], differentiable in them.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        return functional.normalize(self.network.encode_image(self.read(images)), dim=-1)

    @torch.no_grad()
    def encode_texts(
        self, texts: Sequence[str], *, templates: Sequence[str] = ("{}",)
    ) -> Float[Tensor, "text embedding"]:
        """Unit vectors of texts: the normalised mean of the unit vectors of each text's sentences.

        Args:
            texts: One or more.
            templates: Sentences with a place ``{}`` for the text.
        """
        rows = []
        for text in texts:
            tokens = self.tokenize([template.format(text) for template in templates])
            found = self.network.encode_text(tokens.to(self.device))
            rows.append(functional.normalize(found, dim=-1).mean(dim=0))
        return functional.normalize(torch.stack(rows), dim=-1)

    def known_templates(self) -> tuple[str, ...]:
        """``TEMPLATES`` without those that contain a word unknown to the model."""
        return tuple(t for t in TEMPLATES if not self.unknown_words(t.replace("{}", "")))

    def unknown_words(self, text: str) -> list[str]:
        """Unknown words of a text: each has a token with an embedding of zeros."""
        table = self._token_table()
        if table is None:
            return []
        unknown = []
        for word in re.findall(r"\w+", text.lower()):
            tokens = self.tokenize([word])[0]
            inner = tokens[1 : int(tokens.argmax())]
            if not table[inner.to(table.device)].abs().amax(dim=1).gt(0).all():
                unknown.append(word)
        return unknown

    def _token_table(self) -> Tensor | None:
        towers = (getattr(self.network, "text", self.network), self.network)
        found = next((t.token_embedding for t in towers if hasattr(t, "token_embedding")), None)
        return None if found is None else found.weight

    def dense(
        self, images: Float[Tensor, "batch 3 height width"], *, zoom: int = 1
    ) -> Float[Tensor, "batch embedding rows columns"]:
        """A vector for each place, not normalised; see the module docstring.

        Args:
            images: RGB in [-1, 1].
            zoom: The image is read at ``zoom`` times ``size``, so each place sees a smaller part. A
                tower with a fixed size reads overlapping tiles.

        Raises:
            SegmenterError: images of a wrong shape, type or device, or a tower without a known way
                to dense vectors.
        """
        read = self.read(images, zoom=zoom)
        side = read.shape[-1]
        visual = self.network.visual
        if hasattr(visual, "trunk"):
            return _dense_convolutional(visual, read, self.name)
        tile = (self.size, self.size)
        cut = Reading((0.0,), (1.0,), size=tile, tiles="tile").cut(side, side)
        if cut is None:
            return _dense_tile(visual, read, self.name)
        _, corners = cut
        outputs = [
            resize(
                _dense_tile(visual, read[..., y : y + tile[0], x : x + tile[1]], self.name), tile
            )
            for y, x in corners
        ]
        return torch.cat(
            [
                average_tiles([output[k : k + 1] for output in outputs], corners, (side, side))
                for k in range(len(images))
            ]
        )


def known_texts(clip: ClipModel, texts: Iterable[str]) -> list[str]:
    """Those texts of which a model knows every word."""
    return [text for text in texts if not clip.unknown_words(text)]


def describe_unknown(clip: ClipModel, texts: Iterable[str]) -> str | None:
    """The first word that a model does not know, for an error; None if it knows all."""
    word = next((word for text in texts for word in clip.unknown_words(text)), None)
    if word is None:
        return None
    return f"{clip.name} never saw the word {word!r}; expected words that it knows"


def load_clip(target: str, *, device: torch.device | str = "cpu") -> ClipModel:
    """Read a model from files.

    Args:
        target: ``scenes-clip``, a folder, or ``ARCHITECTURE@FILE``; see the module docstring.
        device: Device of the model.

    Raises:
        SegmenterError: no open_clip, no such model, or files that don't fit it.

    Example::

        load_clip("scenes-clip").encode_texts(["a house at night"])  # 1 × 128, of length 1
    """
    open_clip = _library()
    if target == SCENES_CLIP:
        source = Path(str(resources.files("segmenters") / "weights" / SCENES_CLIP))
    else:
        source = Path(target).expanduser()
    architecture, at, file = target.partition("@")
    if source.is_dir():
        _check_config(source)
        spec, pretrained = f"local-dir:{source}", None
    elif at and Path(file).expanduser().is_file() and file.endswith(_SUFFIXES):
        if architecture not in open_clip.list_models():
            raise SegmenterError(
                f"{architecture!r} is not an architecture of open_clip; expected one of its "
                f"{len(open_clip.list_models())}, such as ViT-B-32, before @FILE"
            )
        spec, pretrained = architecture, str(Path(file).expanduser())
    else:
        raise SegmenterError(
            f"{target} is neither a folder nor ARCHITECTURE@FILE; expected {SCENES_CLIP}, a folder "
            f"with {CONFIG} and weights, or such as ViT-B-32@weights.safetensors; nothing is "
            "downloaded"
        )
    with _quiet(), _explained(target):
        network = open_clip.create_model(spec, pretrained, weights_only=True, pretrained_text=False)
        tokenize = open_clip.get_tokenizer(spec)
    network = network.eval().requires_grad_(False).float().to(device)
    reading = _reading(network.visual.preprocess_cfg, target)
    fingerprint = hash_tensors(network.state_dict(), type(network).__name__, asdict(reading))
    return ClipModel(target, network, tokenize, reading, fingerprint)


def _library() -> Any:
    try:
        import open_clip  # noqa: PLC0415, takes seconds
    except ImportError as cause:
        raise SegmenterError(
            "words need open_clip, which is not installed; run: pip install 'gan-dissection[text]'"
        ) from cause
    return open_clip


def _check_config(folder: Path) -> None:
    """Reject a folder that open_clip would complete by a download."""
    path = folder / CONFIG
    if not path.is_file():
        raise SegmenterError(
            f"{folder} has no {CONFIG}; expected a folder that open_clip wrote (a model of "
            "transformers is another format; open_clip's script convert or its hub pages have it)"
        )
    config = read_json(path)
    model = config.get("model_cfg") if isinstance(config, dict) else None
    parts = ("vision_cfg", "text_cfg")
    if not isinstance(model, dict) or not all(isinstance(model.get(p), dict) for p in parts):
        raise SegmenterError(f"{path} has no model_cfg with {' and '.join(parts)}; get it again")
    if model["text_cfg"].get("hf_model_name"):
        raise SegmenterError(
            f"{path} names a text tower of transformers, which would be downloaded; expected one "
            "of open_clip's own"
        )
    if not any(file.suffix in _SUFFIXES for file in folder.iterdir()):
        raise SegmenterError(f"{folder} has no weights; expected a file {' or '.join(_SUFFIXES)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the library's log of what it loads; its errors are raised, not logged."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _explained(target: str) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as cause:  # the library raises many kinds for files that don't fit
        reason = " ".join(str(cause).split())[:200]
        raise SegmenterError(
            f"{target} can't be read as a model of open_clip ({reason}); expected a configuration "
            "and weights that fit each other, tensors alone"
        ) from cause


def _reading(preprocess: Any, target: str) -> Reading:
    size = preprocess["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise SegmenterError(f"{target} reads images of {height} × {width}; expected a square")
    return Reading(
        mean=tuple(preprocess["mean"]), std=tuple(preprocess["std"]), size=(height, width),
        mode=preprocess["interpolation"], tiles="resize",
    )  # fmt: skip


def _dense_convolutional(visual: Any, read: Tensor, name: str) -> Tensor:
    features = visual.trunk.forward_features(read)
    projection = dict(visual.head.named_children()).get("proj")
    linear = isinstance(projection, nn.Linear) and features.ndim == 4
    if linear:
        own = visual.head(visual.trunk.forward_head(features))
        linear = torch.allclose(
            own,
            visual.head(features.mean(dim=(2, 3))),
            rtol=_PROBE_TOLERANCE,
            atol=_PROBE_TOLERANCE,
        )
    if not linear or projection is None:
        raise SegmenterError(
            f"{name}: its image tower does not end in a mean over places and a linear map; "
            "expected that, a vision transformer or CLIP's ResNet for words at places"
        )
    dense = torch.einsum("bchw,ec->behw", features, projection.weight)
    return dense if projection.bias is None else dense + projection.bias[:, None, None]


def _dense_tile(visual: Any, read: Tensor, name: str) -> Tensor:
    """Dense vectors of a tower with a fixed input size."""
    if hasattr(visual, "attnpool"):
        x = visual.stem(read)
        for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = stage(x)
        values = visual.attnpool.v_proj(x.permute(0, 2, 3, 1))
        return visual.attnpool.c_proj(values).permute(0, 3, 1, 2)
    if getattr(visual, "attn_pool", True) is not None or visual.proj is None:
        raise SegmenterError(
            f"{name}: no way is known from its image tower ({type(visual).__name__}) to words at "
            "places; expected a plain vision transformer or CLIP's ResNet"
        )
    x = visual._embeds(read)
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    n_tokens = x.shape[1]
    alone = x.new_full((n_tokens, n_tokens), float("-inf")).fill_diagonal_(0)
    x = visual.transformer.resblocks[-1](x, attn_mask=alone)
    x = visual.ln_post(x)[:, 1:] @ visual.proj
    return x.unflatten(1, visual.grid_size).permute(0, 3, 1, 2)
