"""torchvision's networks: ``torchvision:ARCHITECTURE``, with ``@WEIGHTS`` or ``@FILE``.

    torchvision:deeplabv3_resnet50                                its best weights, downloaded once
    torchvision:fcn_resnet50@COCO_WITH_VOC_LABELS_V1              the weights of this name
    torchvision:lraspp_mobilenet_v3_large@runs/street.pth,names=cityscapes

A file holds a state dict (``.pth``, ``.pt``, tensors only, or ``.safetensors``). Images are resized
and normalised by the weights' own transforms; with a file, by those of the architecture's best
weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segmenters import class_names
from segmenters.errors import SegmenterError
from segmenters.hub import as_state, load_state, read_weights
from segmenters.network_segmenter import NetworkSegmenter
from segmenters.reading import Reading
from segmenters.spec import parse_spec

OPTIONS = {"names": "SET_OR_FILE", "plane": "NAME", "size": "PIXELS"}

_HEADS = ("classifier.4.weight", "classifier.low_classifier.weight")
_SUFFIXES = (".pth", ".pt", ".safetensors", ".bin")


def load(text: str, device: torch.device | str = "cpu") -> NetworkSegmenter:
    """Load the network of a spec.

    Args:
        text: ``torchvision:TARGET``, with options.
        device: Device to run on.

    Raises:
        SegmenterError: an unknown architecture, weights or file, or names that do not
            fit.
    """
    from torchvision import models  # noqa: PLC0415, takes a second

    spec = parse_spec(text, OPTIONS)
    architecture, _, chosen_name = spec.target.partition("@")
    known = models.list_models(module=models.segmentation)
    if architecture not in known:
        raise SegmenterError(
            f"{architecture!r} is not a segmentation network of torchvision; expected one of "
            f"{', '.join(known)}"
        )
    weights = models.get_model_weights(architecture)
    own = None
    if chosen_name.endswith(_SUFFIXES):
        chosen, path = _named(weights, "DEFAULT", architecture), Path(chosen_name).expanduser()
        state = read_weights(path)
    else:
        chosen = _named(weights, chosen_name or "DEFAULT", architecture)
        state, path = _fetch(chosen), Path(str(chosen))
        labels = chosen.meta["categories"]
        own = class_names.from_labels(labels, plane="voc", source=str(chosen))
    n_classes = _count(state, architecture, path)
    network = models.get_model(
        architecture, weights=None, weights_backbone=None, num_classes=n_classes,
        **({"aux_loss": True} if any(k.startswith("aux_classifier") for k in state) else {}),
    )  # fmt: skip
    load_state(network, state, path)
    own = own or class_names.recognise(n_classes, "voc")  # the classes of all torchvision weights
    classes = class_names.choose(spec.options, n_classes, own=own, text=spec.target)
    if n_classes == 1:
        raise SegmenterError(
            f"{path} has one class and no background, so it would be everywhere; expected two "
            "classes or more"
        )
    return NetworkSegmenter(
        text,
        network,
        _Forward(network),
        classes,
        _reading(chosen, spec.options),
        device=device,
        settings=architecture,
    )


class _Forward:
    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, images: Tensor) -> Tensor:
        return self.network(images)["out"]


def _named(weights: Any, name: str, architecture: str) -> Any:
    """A member of the library's enumeration of an architecture's weights."""
    if name not in weights.__members__:
        raise SegmenterError(
            f"{architecture} has no weights {name!r}; expected one of "
            f"{', '.join(weights.__members__)}, or a file ({' '.join(_SUFFIXES)})"
        )
    return weights[name]


def _fetch(weights: Any) -> dict[str, Tensor]:
    try:
        found = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # no network; a digest that is another
        raise SegmenterError(
            f"{weights} can't be fetched from {weights.url} "
            f"({' '.join(str(error).split())[:100]}); fetch it where there is a network and give "
            "the file after @"
        ) from None
    return as_state(found, Path(str(weights)))


def _count(state: Mapping[str, Tensor], architecture: str, path: Path) -> int:
    for head in _HEADS:
        if head in state:
            return state[head].shape[0]
    raise SegmenterError(
        f"{path} holds no head of {architecture}; expected one of {', '.join(_HEADS)} in it"
    )


def _reading(weights: Any, options: Mapping[str, str]) -> Reading:
    preset = weights.transforms()
    shortest = preset.resize_size[0] if preset.resize_size else None
    if "size" in options:
        if not options["size"].isdecimal() or int(options["size"]) == 0:
            raise SegmenterError(f"size={options['size']} is not a number of pixels")
        shortest = int(options["size"])
    return Reading(
        mean=tuple(preset.mean), std=tuple(preset.std), shortest=shortest,
        mode=preset.interpolation.value, antialias=bool(preset.antialias),
    )  # fmt: skip
