"""Networks of segmentation-models-pytorch: ``smp:FOLDER`` or ``smp:OWNER/NAME@REVISION``.

A folder from its ``save_pretrained``: ``config.json`` gives the architecture and its parameters,
``model.safetensors`` (or ``pytorch_model.bin``, tensors only) holds the weights. The preprocessing
is in ``albumentations_config_eval.json``, written by albumentations and present in the checkpoints
of smp-hub, or in ``preprocessor_config.json``.
"""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segmenters import class_names
from segmenters.errors import SegmenterError
from segmenters.hub import find_folder, load_state, read_json, read_weights
from segmenters.network_segmenter import NetworkSegmenter
from segmenters.reading import Reading
from segmenters.spec import Spec, choice, parse_spec

OPTIONS = {
    "names": "SET_OR_FILE", "plane": "NAME", "preprocessing": "imagenet|unit|centred",
    "size": "PIXELS", "reading": "auto|resize|tile",
}  # fmt: skip
PREPROCESSING = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "centred": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Values of ``preprocessing=`` → mean and deviation of images in [0, 1]."""

_EVAL = "albumentations_config_eval.json"
_PROCESSOR = "preprocessor_config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_FILES = ("config.json", _EVAL, _PROCESSOR, *_WEIGHTS, "README.md", "names.json", "names.txt")
_MODES = {1: "bilinear", 2: "bicubic"}  # cv2's numbers
_HARMLESS = ("ToTensorV2", "ToTensor")
# Last activation of the head → the meaning of the network's output.
_MEANINGS = {
    None: "logits", "identity": "logits", "softmax": "shares", "softmax2d": "shares",
    "sigmoid": "probabilities",
}  # fmt: skip


def load(text: str, device: torch.device | str = "cpu") -> NetworkSegmenter:
    """Load the network of a spec.

    Args:
        text: ``smp:TARGET``, with options.
        device: Device to run on.

    Raises:
        SegmenterError: a folder that is missing or holds something else, names that do not fit,
            or unknown preprocessing.
    """
    spec = parse_spec(text, OPTIONS)
    folder = find_folder(spec.target, patterns=_FILES)
    config = read_json(folder / "config.json")
    network = _build(config, folder)
    path = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise SegmenterError(f"{folder} holds no weights; expected {' or '.join(_WEIGHTS)}")
    load_state(network, read_weights(path), path)
    n_classes = int(config.get("classes", 1))
    meaning = _meaning(config, n_classes, folder)
    card = folder / "README.md"
    about = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    classes = class_names.choose(
        spec.options,
        n_classes,
        own=_own_names(config, folder, spec.plane),
        text=f"{spec.target} {_dataset(about)}",
    )
    reading = _reading(spec, config, folder, network)
    return NetworkSegmenter(
        text,
        network,
        _Forward(network),
        classes,
        reading,
        meaning=meaning,
        device=device,
        settings=sorted(config.items(), key=str),
    )


class _Forward:
    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, images: Tensor) -> Tensor:
        output = self.network(images)
        # With a classification head there are two outputs, masks first.
        return output[0] if isinstance(output, tuple) else output


def _build(config: Any, folder: Path) -> nn.Module:
    import segmentation_models_pytorch as smp  # noqa: PLC0415, takes two seconds

    architectures = {kind.__name__: kind for kind in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    title = config.get("_model_class") if isinstance(config, dict) else None
    if title not in architectures:
        raise SegmenterError(
            f"{folder / 'config.json'} is of the architecture {title!r}; expected one of "
            f"segmentation-models-pytorch's own: {', '.join(architectures)}"
        )
    if int(config.get("in_channels", 3)) != 3:
        raise SegmenterError(
            f"{folder} takes images of {config['in_channels']} channels; expected 3 (RGB)"
        )
    settings = {key: value for key, value in config.items() if not key.startswith("_")}
    if "encoder_weights" in inspect.signature(architectures[title]).parameters:
        # They would be downloaded, only to be replaced by those of the folder.
        settings["encoder_weights"] = None
    try:
        return architectures[title](**settings)
    except Exception as error:  # the library raises many kinds of errors for invalid settings
        raise SegmenterError(
            f"{folder / 'config.json'} can't be built as a {title}: "
            f"{' '.join(str(error).split())[:160]}"
        ) from None


def _meaning(config: Mapping[str, Any], n_classes: int, folder: Path) -> str:
    ending = config.get("activation")
    if ending not in _MEANINGS:
        raise SegmenterError(
            f"{folder} ends in the activation {ending!r}; expected none, softmax2d or sigmoid"
        )
    meaning = _MEANINGS[ending]
    if n_classes == 1 and meaning == "shares":
        raise SegmenterError(
            f"{folder} has one class under a softmax and no background, so it would be everywhere; "
            "expected two classes or more"
        )
    return "binary" if n_classes == 1 and meaning == "logits" else meaning


def _own_names(config: Mapping[str, Any], folder: Path, plane: str) -> class_names.Classes | None:
    for name in ("names.json", "names.txt"):
        if (folder / name).is_file():
            found = class_names.from_file(folder / name)
            return replace(found, plane=plane) if found.plane == "names" else found
    labels = config.get("class_names") or config.get("id2label")
    if isinstance(labels, dict):
        labels = [labels[key] for key in sorted(labels, key=int)]
    if not labels:
        return None
    return class_names.from_labels(labels, plane=plane, source=str(folder / "config.json"))


def _dataset(card: str) -> str:
    """The line of a model card that names the training data."""
    lines = [line for line in card.splitlines() if line.lower().startswith("dataset name:")]
    return lines[0].partition(":")[2].strip() if lines else ""


def _reading(spec: Spec, config: Mapping[str, Any], folder: Path, network: nn.Module) -> Reading:
    tiles = choice(spec, "reading", ("auto", "resize", "tile"))
    found = _stored(folder)
    given = spec.options.get("preprocessing")
    if given is not None:
        mean, std = PREPROCESSING[choice(spec, "preprocessing", tuple(PREPROCESSING))]
        found = (found or {}) | {"mean": mean, "std": std}
    if found is None or "mean" not in found:
        found = (found or {}) | _of_encoder(config, folder)
    if "size" in spec.options:
        side = spec.options["size"]
        if not side.isdecimal() or int(side) == 0:
            raise SegmenterError(f"segmenter {spec.text!r} has size={side}; expected pixels")
        found["size"] = (int(side), int(side))
    needs = getattr(network, "requires_divisible_input_shape", True)
    stride = int(getattr(network.encoder, "output_stride", 32)) if needs else 1
    if any(side % stride for side in found.get("size", ())):
        raise SegmenterError(
            f"{spec.target} would read images at {found['size']}; expected multiples of {stride}; "
            "give one with size="
        )
    return Reading(**{"antialias": False, "multiple": stride, "tiles": tiles} | found)


def _stored(folder: Path) -> dict[str, Any] | None:
    """The preprocessing that the folder states, or None."""
    if (folder / _EVAL).is_file():
        return _albumentations(read_json(folder / _EVAL), folder / _EVAL)
    if (folder / _PROCESSOR).is_file():
        content = read_json(folder / _PROCESSOR)
        size = content.get("size") if isinstance(content, dict) else None
        if not isinstance(content, dict) or not {"image_mean", "image_std"} <= set(content):
            raise SegmenterError(f"{folder / _PROCESSOR} names no image_mean and image_std")
        found = {"mean": tuple(content["image_mean"]), "std": tuple(content["image_std"])}
        if isinstance(size, dict) and {"height", "width"} <= set(size):
            found["size"] = (int(size["height"]), int(size["width"]))
        return found
    return None


def _albumentations(content: Any, path: Path) -> dict[str, Any]:
    """The preprocessing of an albumentations pipeline that only resizes and normalises.

    Normalize there means (image − mean · most) / (std · most), for an image in 0 … 255.
    """
    found: dict[str, Any] = {}
    try:
        steps = content["transform"]["transforms"]
        for step in steps:
            kind = step["__class_fullname__"].rpartition(".")[2]
            if kind == "Resize":
                found["size"] = (int(step["height"]), int(step["width"]))
                found["mode"] = _MODES[step.get("interpolation", 1)]
            elif kind == "Normalize" and step.get("normalization", "standard") == "standard":
                most = float(step.get("max_pixel_value", 255.0)) / 255
                found["mean"] = tuple(float(value) * most for value in step["mean"])
                found["std"] = tuple(float(value) * most for value in step["std"])
            elif kind not in _HARMLESS:
                raise SegmenterError(
                    f"{path} prepares images with {kind}; expected Resize and Normalize "
                    "(standard); give preprocessing= and size= in a folder without this file"
                )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SegmenterError(
            f"{path} can't be read as a pipeline of albumentations ({error!r}); expected Resize, "
            "linear or cubic, and Normalize"
        ) from None
    return found


def _of_encoder(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The preprocessing with which the encoder's initial weights were trained."""
    name, weights = config.get("encoder_name", "resnet34"), config.get("encoder_weights")
    missing = (
        f"{folder} does not say how images are prepared; expected {_EVAL} in it, or "
        f"preprocessing={'|'.join(PREPROCESSING)} after a comma"
    )
    if not weights:
        raise SegmenterError(missing)
    import segmentation_models_pytorch as smp  # noqa: PLC0415

    try:
        parameters = smp.encoders.get_preprocessing_params(name, pretrained=weights)
    except Exception as error:  # unknown weights, no network, …: the preprocessing is unknown
        raise SegmenterError(f"{missing} ({name}: {' '.join(str(error).split())[:80]})") from None
    most = float(parameters["input_range"][1])
    return {
        "mean": tuple(float(value) / most for value in parameters["mean"]),
        "std": tuple(float(value) / most for value in parameters["std"]),
        "reversed": parameters["input_space"] == "BGR",
    }
