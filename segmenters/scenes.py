"""The segmenter of the procedural scenes, and the predictor of their attributes.

One small network: a U-Net marks objects, parts and materials, and a head on its deepest features
predicts the named attributes. Both were trained on renders with exact labels
(``recipes/scenes_segmenter``); the card beside the weights gives their accuracy on new renders.
"""

import json
from importlib import resources
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from segmenters.base import hash_tensors
from segmenters.errors import SegmenterError
from segmenters.images import check_images, resize
from segmenters.notebook import ShownSegmenter
from segmenters.scenes_vocabulary import ATTRIBUTES, SCENES_VOCABULARY

FORMAT = "gan-dissection/scenes-reader"
SIZE = 64  # pixels; size for training and for every image
_ENCODER, _DEPTH, _DECODER = "tu-resnet10t", 4, (64, 48, 32, 24)
# Channels of a plane: none of its concepts, then each of them.
PLANE_SIZES = tuple(1 + len(SCENES_VOCABULARY.in_plane(p)) for p in SCENES_VOCABULARY.planes)


class ScenesNetwork(nn.Module):
    """Image to logits of every plane, and to attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = smp.Unet(
            _ENCODER,
            encoder_depth=_DEPTH,
            encoder_weights=None,
            decoder_channels=_DECODER,
            classes=sum(PLANE_SIZES),
        )
        deepest = self.unet.encoder.out_channels[-1]
        self.attributes = nn.Sequential(
            nn.Flatten(),
            nn.Linear(deepest * (SIZE // 2**_DEPTH) ** 2, 96),
            nn.ReLU(),
            nn.Linear(96, len(ATTRIBUTES)),
        )

    def forward(
        self, images: Float[Tensor, "batch 3 64 64"]
    ) -> tuple[Float[Tensor, "batch channel 64 64"], Float[Tensor, "batch attribute"]]:
        features = self.unet.encoder(images)
        logits = self.unet.segmentation_head(self.unet.decoder(features))
        return logits, self.attributes(features[-1])

    def pooled(self, images: Float[Tensor, "batch 3 64 64"]) -> Float[Tensor, "batch feature"]:
        """Spatial means of the two deepest feature maps, for Fréchet distances."""
        features = self.unet.encoder(images)
        return torch.cat([f.mean(dim=(2, 3)) for f in features[-2:]], dim=1)


def save_network(network: ScenesNetwork, path: Path) -> None:
    """Write the weights as float16 safetensors; atomic."""
    tensors = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    about = {"format": FORMAT, "concepts": json.dumps(SCENES_VOCABULARY.names)}
    partial = path.with_name(path.name + ".partial")
    save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata=about)
    partial.replace(path)


def load_network(path: Path | None = None) -> ScenesNetwork:
    """Read weights; without a path, those of the package.

    Raises:
        SegmenterError: a file that is missing, damaged, or for other concepts.
    """
    path = path or Path(str(resources.files("segmenters") / "weights" / "scenes.safetensors"))
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise SegmenterError(f"cannot read {path} as safetensors: {error}") from error
    if about.get("format") != FORMAT or json.loads(about.get("concepts", "[]")) != list(
        SCENES_VOCABULARY.names
    ):
        raise SegmenterError(
            f"{path} has the format {about.get('format')!r} or other concepts; expected {FORMAT!r} "
            "with the concepts of the scenes; train it again with recipes.scenes_segmenter"
        )
    network = ScenesNetwork()
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    )
    return network.eval().requires_grad_(False)


def _at_size(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 64 64"]:
    return resize(images, (SIZE, SIZE), antialias=True)


class _Reader:
    def __init__(self, network: ScenesNetwork, *, device: torch.device | str) -> None:
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self.fingerprint = hash_tensors(network.state_dict(), SIZE, SCENES_VOCABULARY.names)


class ScenesSegmenter(ShownSegmenter, _Reader):
    """Marks the concepts of ``SCENES_VOCABULARY``; a ``Segmenter``.

    Example:
        >>> ScenesSegmenter(ScenesNetwork(), device="cpu").segment(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    name = "scenes"
    vocabulary = SCENES_VOCABULARY

    def _planes(self, images: Tensor) -> tuple[Tensor, ...]:
        check_images(images, self.device)
        logits, _ = self.network(_at_size(images))
        size = (images.shape[-2], images.shape[-1])
        return resize(logits, size).split(PLANE_SIZES, dim=1)

    @torch.no_grad()
    def segment(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Int[Tensor, "batch plane height width"]:
        """Label every pixel; images of another size are resized to 64 pixels."""
        planes, first = [], 0
        for logits in self._planes(images):
            index = logits.argmax(dim=1)
            planes.append(torch.where(index > 0, index + first, index))
            first += logits.shape[1] - 1
        return torch.stack(planes, dim=1)

    def score(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch concept height width"]:
        """The softmax of each plane without its "none", differentiable in the images."""
        return torch.cat([p.softmax(dim=1)[:, 1:] for p in self._planes(images)], dim=1)

    @torch.no_grad()
    def features(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch feature"]:
        """Spatial means of the encoder's deepest stage, 256 values; see ``segmenters.features``."""
        check_images(images, self.device)
        return self.network.unet.encoder(_at_size(images))[-1].mean(dim=(2, 3))


class ScenesPredictor(_Reader):
    """Predicts the named attributes of a scene from its image."""

    name = "scenes"
    attributes = ATTRIBUTES

    def predict(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch attribute"]:
        """Values in the units of ``dissect.worlds.distribution``, differentiable in the images.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        check_images(images, self.device)
        return self.network(_at_size(images))[1]


def load(device: torch.device | str = "cpu") -> ScenesSegmenter:
    """Load the segmenter with the weights of the package."""
    return ScenesSegmenter(load_network(), device=device)


def load_predictor(device: torch.device | str = "cpu") -> ScenesPredictor:
    """Load the predictor with the weights of the package."""
    return ScenesPredictor(load_network(), device=device)
