"""Networks of transformers: ``hf:FOLDER`` or ``hf:OWNER/NAME@REVISION``.

Networks with a score for each class at each pixel (SegFormer, UPerNet, DPT and similar ones), and
networks of queries with a mask each (MaskFormer, Mask2Former, OneFormer). They need the library
(``pip install 'gan-dissection[transformers]'``); code in a folder is never run.

``output=panoptic`` labels whole segments, with the library's own rules: pixels outside of all
confident segments have no label. Scores are always those of the semantic output.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from segmenters import class_names
from segmenters.errors import SegmenterError
from segmenters.hub import find_folder, read_json
from segmenters.images import resize
from segmenters.network_segmenter import NetworkSegmenter
from segmenters.reading import Reading
from segmenters.spec import choice, parse_spec

OPTIONS = {
    "names": "SET_OR_FILE", "plane": "NAME", "output": "semantic|panoptic",
    "reading": "auto|resize|tile",
}  # fmt: skip

_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin", "README.md")
_QUERIES = ("maskformer", "mask2former", "oneformer")
_IRRELEVANT = ("_name_or_path", "transformers_version")  # entries without effect on the results
_MODES = {2: "bilinear", 3: "bicubic"}  # PIL's numbers


def load(text: str, device: torch.device | str = "cpu") -> NetworkSegmenter:
    """Load the network of a spec.

    Args:
        text: ``hf:TARGET``, with options.
        device: Device to run on.

    Raises:
        SegmenterError: transformers is not installed, a folder that is missing or holds
            something else, or names that do not fit.
    """
    spec = parse_spec(text, OPTIONS)
    try:
        import transformers  # noqa: PLC0415, an extra
    except ImportError:
        raise SegmenterError(
            f"segmenter {text!r} needs transformers, which is not installed; "
            "pip install 'gan-dissection[transformers]'"
        ) from None
    folder = find_folder(spec.target, patterns=_FILES)
    config = read_json(folder / "config.json")
    queries = _kind(config, folder)
    network = _open(transformers, folder, queries)
    output = choice(spec, "output", ("semantic", "panoptic"))
    if output == "panoptic" and not queries:
        raise SegmenterError(
            f"{spec.target} is a {config['architectures'][0]}, which has no panoptic output; "
            "expected output=semantic"
        )
    processor = _processor(transformers, folder, config)
    labels = network.config.id2label
    n_classes = len(labels)
    if n_classes == 1 and not queries:
        raise SegmenterError(
            f"{spec.target} has one class and no background, so it would be everywhere; expected "
            "two classes or more"
        )
    classes = class_names.choose(
        spec.options,
        n_classes,
        own=_own_names(labels, folder, spec.plane),
        text=spec.target,
    )
    reading = _reading(processor, folder, choice(spec, "reading", ("auto", "resize", "tile")))
    if queries:
        forward: Any = _Queries(network, _task(transformers, folder, network, output), processor)
    else:
        forward = _Pixels(network)
    network.to(device)
    return NetworkSegmenter(
        text, network, forward, classes, reading,
        meaning="shares" if queries else "logits", device=device,
        settings=(output, sorted((k, v) for k, v in config.items() if k not in _IRRELEVANT)),
        label=forward.panoptic if output == "panoptic" else None,
    )  # fmt: skip


class _Pixels:
    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, images: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 class rows columns"]:
        return self.network(pixel_values=images).logits


class _Queries:
    """Classes of pixels from queries: Σ_q p(class | q) · mask_q, as in the library.

    References:
        Cheng et al., Per-Pixel Classification is Not All You Need for Semantic Segmentation,
        NeurIPS 2021, section 3.4.
    """

    def __init__(self, network: Any, task: Tensor | None, processor: Any) -> None:
        self.network, self.task, self.processor = network, task, processor

    def _run(self, images: Tensor) -> Any:
        if self.task is None:
            return self.network(pixel_values=images)
        task = self.task.to(images.device).expand(len(images), -1)
        return self.network(pixel_values=images, task_inputs=task)

    def __call__(self, images: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 class rows columns"]:
        output = self._run(images)
        masks = output.masks_queries_logits
        if self.network.config.model_type == "mask2former":
            masks = resize(masks, (384, 384))  # for any training size, like the library
        classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]
        return torch.einsum("bqc,bqhw->bchw", classes, masks.sigmoid())

    def panoptic(
        self, images: Float[Tensor, "1 3 h w"], size: tuple[int, int]
    ) -> Int[Tensor, "1 height width"]:
        """Classes of the segments that the library finds, −1 outside of them."""
        (found,) = self.processor.post_process_panoptic_segmentation(
            self._run(images), label_ids_to_fuse=set(), target_sizes=[size]
        )
        segments = found["segmentation"].to(images.device)
        classes = torch.full(segments.shape, -1, dtype=torch.long, device=images.device)
        for segment in found["segments_info"]:
            classes[segments == segment["id"]] = int(segment["label_id"])
        return classes[None]


def _kind(config: Any, folder: Path) -> bool:
    """Whether a folder's network is one of queries.

    Raises:
        SegmenterError: a network with custom code, or for another task.
    """
    if not isinstance(config, dict) or "model_type" not in config:
        raise SegmenterError(
            f"{folder / 'config.json'} is none of transformers; expected one with model_type; "
            "folders of segmentation-models-pytorch are smp:FOLDER"
        )
    if "auto_map" in config:
        raise SegmenterError(
            f"{folder} brings code of its own, which is never run; expected a network of "
            "transformers itself"
        )
    title = str((config.get("architectures") or ["?"])[0])
    queries = config["model_type"] in _QUERIES
    wanted = (
        ("ForUniversalSegmentation", "ForInstanceSegmentation")
        if queries
        else ("ForSemanticSegmentation",)
    )
    if not title.endswith(wanted):
        raise SegmenterError(
            f"{folder} holds a {title}; expected one for semantic segmentation (…For"
            "SemanticSegmentation), a MaskFormer, a Mask2Former or a OneFormer"
        )
    return queries


def _open(transformers: Any, folder: Path, queries: bool) -> Any:
    """Load the library's network from a folder."""
    kind = (
        transformers.AutoModelForUniversalSegmentation
        if queries
        else transformers.AutoModelForSemanticSegmentation
    )
    try:
        network, report = kind.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32,
            output_loading_info=True, ignore_mismatched_sizes=True,  # reported below
        )  # fmt: skip
    except Exception as error:  # the library raises many kinds of errors
        raise SegmenterError(
            f"{folder} can't be opened by transformers: {' '.join(str(error).split())[:200]}"
        ) from None
    missing = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    if missing:
        # The library would continue with random numbers in their place.
        raise SegmenterError(
            f"{folder} lacks {len(missing)} of the weights that its configuration asks for, or has "
            f"them in other shapes ({min(missing)}); expected all of them; fetch it again"
        )
    return network


def _processor(transformers: Any, folder: Path, config: dict[str, Any]) -> Any:
    extra = {"class_info_file": None} if config["model_type"] == "oneformer" else {}
    if not any(
        (folder / f).is_file() for f in ("preprocessor_config.json", "processor_config.json")
    ):
        raise SegmenterError(
            f"{folder} does not say how images are prepared; expected preprocessor_config.json in "
            "it; save it with the image processor's save_pretrained"
        )
    try:
        return transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **extra
        )
    except Exception as error:
        raise SegmenterError(
            f"the image processor of {folder} can't be opened by transformers: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None


def _reading(processor: Any, folder: Path, tiles: str) -> Reading:
    def setting(name: str) -> Any:
        return getattr(processor, name, None)

    odd = [
        name
        for name in ("do_center_crop", "do_pad_to_square", "keep_aspect_ratio")
        if setting(name)
    ]
    mode = _MODES.get(int(setting("resample") or 2))
    if odd or mode is None:
        raise SegmenterError(
            f"{folder} prepares images with {odd or 'another resampling'}; expected resizing, "
            "bilinear or bicubic, and normalising"
        )
    factor = float(setting("rescale_factor") or 1 / 255) if setting("do_rescale") else 1.0
    if setting("do_normalize"):
        mean, std = setting("image_mean"), setting("image_std")
    else:
        mean, std = (0.0,) * 3, (1.0,) * 3
    # Its numbers apply to bytes times the factor, ours to bytes over 255.
    size = dict(setting("size") or {}) if setting("do_resize") else {}
    size = {key: value for key, value in size.items() if value}
    fixed = (size["height"], size["width"]) if {"height", "width"} <= set(size) else None
    return Reading(
        mean=tuple(float(value) / (255 * factor) for value in mean),
        std=tuple(float(value) / (255 * factor) for value in std),
        size=fixed,
        shortest=None if fixed else size.get("shortest_edge"),
        longest=None if fixed else size.get("longest_edge"),
        multiple=int(setting("size_divisor") or 1),
        mode=mode,
        reversed=bool(setting("do_flip_channel_order")),
        tiles=tiles,
    )


def _own_names(labels: dict[int, str], folder: Path, plane: str) -> class_names.Classes | None:
    names = [labels[index] for index in sorted(labels)]
    if all(str(name).startswith("LABEL_") for name in names):
        return None  # the library's default names
    source = str(folder / "config.json")
    return class_names.from_labels(names, plane=plane, source=source)


def _task(transformers: Any, folder: Path, network: Any, output: str) -> Tensor | None:
    """The task of a OneFormer as tokens; other networks have none."""
    if network.config.model_type != "oneformer":
        return None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise SegmenterError(
            f"the tokenizer of {folder} can't be opened: {' '.join(str(error).split())[:160]}"
        ) from None
    length = int(network.config.task_seq_len)
    tokens = tokenizer(
        [f"the task is {output}"], padding="max_length", max_length=length, truncation=True
    )
    return torch.tensor(tokens["input_ids"]) * torch.tensor(tokens["attention_mask"])
