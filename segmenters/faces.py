"""Parts of a face, for small portraits: the ``faces`` segmenter.

A small U-Net takes an image at 64 × 64 pixels and gives two planes of labels.

- *object*: person (with hair, hat, glasses and clothes) or background; each pixel is one of them.
- *part*: skin, brows, eyes, nose, lips and the inside of the mouth, or none of them.

Left and right are from the person's view: the *left eye* of a person who faces the camera is on the
viewer's right. *Skin* is the oval of the face, from the chin to the upper forehead, without the
other parts; neck, ears and hair do not belong to it. *Mouth inside* is the opening between the
lips, with the teeth and the tongue.

The network was trained on the output of another model, on images of one generator
(``recipes/face_parts``). ``segmenters/weights/faces.md`` gives its agreement with that teacher. It
works for faces framed like those: one face that fills most of the image.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from segmenters.base import hash_tensors
from segmenters.errors import SegmenterError
from segmenters.images import check_images, resize
from segmenters.notebook import ShownSegmenter
from segmenters.vocabulary import Vocabulary

INPUT_SIZE = 64
"""Height and width of the network's input, in pixels."""

WEIGHTS = Path(__file__).parent / "weights" / "faces.safetensors"

# Tol's muted palette for the parts, Okabe and Ito's blue for the person, grey for the rest.
VOCABULARY = Vocabulary.build(
    [
        ("person", "object", "object", "#0072b2"),
        ("background", "object", "object", "#bbbbbb"),
        ("skin", "part", "part", "#ddcc77"),
        ("left brow", "part", "part", "#117733"),
        ("right brow", "part", "part", "#999933"),
        ("left eye", "part", "part", "#332288"),
        ("right eye", "part", "part", "#88ccee"),
        ("nose", "part", "part", "#44aa99"),
        ("upper lip", "part", "part", "#cc6677"),
        ("lower lip", "part", "part", "#882255"),
        ("mouth inside", "part", "part", "#aa4499"),
    ],
    part_of=dict.fromkeys(
        (
            "skin",
            "left brow",
            "right brow",
            "left eye",
            "right eye",
            "nose",
            "upper lip",
            "lower lip",
            "mouth inside",
        ),
        "person",
    ),
)

# Output channels of the network: the object plane has no "none"; the part plane has one, first.
N_OBJECTS = len(VOCABULARY.in_plane("object"))
N_PARTS = len(VOCABULARY.in_plane("part"))

_ENCODER, _DEPTH, _DECODER = "tu-regnetx_002", 4, (96, 48, 32, 16)
ARCHITECTURE: Mapping[str, object] = {
    "class": "Unet",
    "encoder_name": _ENCODER,
    "encoder_depth": _DEPTH,
    "decoder_channels": list(_DECODER),
    "input_size": INPUT_SIZE,
}

_METADATA = "faces"


def mirror_name(name: str) -> str:
    """Name of a concept in the mirror image: left and right are swapped."""
    other = {"left": "right", "right": "left"}
    side, _, part = name.partition(" ")
    return f"{other[side]} {part}" if side in other else name


_CHANNELS = (*VOCABULARY.names[:N_OBJECTS], "none", *VOCABULARY.names[N_OBJECTS:])
_MIRRORED_CHANNELS = [_CHANNELS.index(mirror_name(name)) for name in _CHANNELS]


def build_network() -> smp.Unet:
    """The network with random weights: ``batch 3 64 64`` → logits ``batch 12 64 64``.

    Channels are person, background; then none, skin, left brow, … as in the vocabulary.
    """
    return smp.Unet(
        encoder_name=_ENCODER,
        encoder_depth=_DEPTH,
        encoder_weights=None,
        decoder_channels=_DECODER,
        classes=N_OBJECTS + 1 + N_PARTS,
    )


def describe() -> dict[str, object]:
    """The metadata that a weights file must have to match this code."""
    return {"architecture": dict(ARCHITECTURE), "concepts": list(VOCABULARY.names)}


def write_metadata(description: Mapping[str, object]) -> dict[str, str]:
    """The description for the file: one entry, since safetensors does not keep their order."""
    return {_METADATA: json.dumps(description, sort_keys=True)}


def label_planes(
    logits: Float[Tensor, "batch channel height width"],
) -> Int[Tensor, "batch 2 height width"]:
    """Concept ids of the strongest channel in each plane, 0 for none."""
    objects = logits[:, :N_OBJECTS].argmax(dim=1) + 1
    parts = logits[:, N_OBJECTS:].argmax(dim=1)
    return torch.stack([objects, torch.where(parts > 0, parts + N_OBJECTS, 0)], dim=1)


class FacesSegmenter(ShownSegmenter):
    """Marks the person and the parts of the face; follows ``segmenters.Segmenter``.

    Images of any size are resized to 64 × 64 (a portrait that is not square is distorted), and the
    results are interpolated back to the size of the images.

    Args:
        network: Network from ``build_network``; put into eval mode and frozen.
        device: Device to run on.
    """

    name = "faces"
    vocabulary = VOCABULARY

    def __init__(self, network: smp.Unet, *, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.fingerprint = hash_tensors(
            network.state_dict(), write_metadata(describe()), "image and mirror image"
        )
        # Channels last: the same results, about 1.7 times as fast on a CPU.
        network = network.eval().requires_grad_(False).to(self.device)
        self.network = network.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def segment(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Int[Tensor, "batch 2 height width"]:
        """Label every pixel in both planes; see ``segmenters.Segmenter.segment``.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        return label_planes(self._logits(images))

    def score(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 11 height width"]:
        """Probability of each concept at each pixel, a softmax in each plane.

        Person and background add up to 1; the parts add up to 1 minus the probability of none.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        logits = self._logits(images)
        objects = logits[:, :N_OBJECTS].softmax(dim=1)
        parts = logits[:, N_OBJECTS:].softmax(dim=1)[:, 1:]
        return torch.cat([objects, parts], dim=1)

    @torch.no_grad()
    def features(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch feature"]:
        """Spatial means of the encoder's deepest stage, 152 values; see ``segmenters.features``.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        check_images(images, self.device)
        images = resize(images, (INPUT_SIZE, INPUT_SIZE), antialias=True)
        images = images.contiguous(memory_format=torch.channels_last)
        return self.network.encoder(images)[-1].mean(dim=(2, 3))

    def _logits(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        check_images(images, self.device)
        size = (images.shape[-2], images.shape[-1])
        images = resize(images, (INPUT_SIZE, INPUT_SIZE), antialias=True)
        # The mean over the image and its mirror image: gains about one point of IoU, and a face and
        # its mirror image get the same labels.
        both = torch.cat([images, images.flip(-1)]).contiguous(memory_format=torch.channels_last)
        straight, mirrored = self.network(both).chunk(2)
        logits = (straight + mirrored.flip(-1)[:, _MIRRORED_CHANNELS]) / 2
        return resize(logits, size)


def load(device: torch.device | str = "cpu", *, weights: Path = WEIGHTS) -> FacesSegmenter:
    """Load the segmenter with the weights of the package.

    Args:
        device: Device of the images.
        weights: A file written by ``recipes.face_parts``.

    Raises:
        SegmenterError: weights that are missing, unreadable, or belong to other concepts or
            another network.

    Example:
        >>> planes = load().segment(torch.zeros(1, 3, 64, 64))
        >>> planes.shape
        torch.Size([1, 2, 64, 64])
    """
    try:
        with safe_open(weights, framework="pt") as file:
            found = json.loads((file.metadata() or {}).get(_METADATA, "{}"))
            names = file.keys()
            state = {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise SegmenterError(
            f"cannot read the face weights {weights}: {error}; expected a safetensors file; "
            "install the package again or make it with python -m recipes.face_parts"
        ) from None
    for key, expected in describe().items():
        if found.get(key) != expected:
            raise SegmenterError(
                f"{weights.name} was trained with the {key} {found.get(key)}; expected {expected}; "
                "train again with python -m recipes.face_parts"
            )
    network = build_network()
    # Kernels are stored in half precision to keep the package small; computation is in single.
    single = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    try:
        network.load_state_dict(single)
    except RuntimeError as error:
        raise SegmenterError(
            f"{weights.name} does not fit the network: {' '.join(str(error).split())[:160]}; "
            "train again with python -m recipes.face_parts"
        ) from None
    return FacesSegmenter(network, device=device)
