"""Model folders of common programs: which file holds the weights and which the configuration.

- Hugging Face: ``config.json`` beside ``model.safetensors`` (or ``diffusion_pytorch_model``, or
  ``pytorch_model.bin``), possibly in several files with an index of them;
- a pipeline of diffusers: ``model_index.json`` names its parts, ``unet/`` is such a folder, and
  ``scheduler/`` holds the sampling rule; in old ones all files are in one folder. A variant
  (``diffusion_pytorch_model.fp16.safetensors``) is used if the plain file is missing;
- a training of diffusers: ``checkpoint-N/``, of which the last is used, with ``unet_ema/`` and
  ``unet/``;
- lucidrains' stylegan2_pytorch: ``.config.json`` beside ``model_N.pt``, of which the last is used;
- any training: ``G_ema.pth`` beside ``G.pth`` and others, or files that differ only in a number, of
  which the last is used.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from dissect.generators.naming import is_averaged, names_network
from dissect.generators.reading.bounds import Refusal

_WEIGHTS = (
    "model.safetensors",
    "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin",
    "diffusion_pytorch_model.bin",
)
_CONFIGS = ("config.json", ".config.json")
_PIPELINE = "model_index.json"
_SCHEDULER = "scheduler_config.json"
_LONGEST_LIST = 64  # longest list of a configuration that flattening keeps
_LARGEST_JSON = 16 << 20
_NUMBERED = re.compile(r"model_(\d{1,18})\.pt")


@dataclass(frozen=True)
class Folder:
    """The weights and configuration of a folder.

    Args:
        weights: Files to read, each with the names to take from it; None means all.
        config: The folder's own description of the model.
    """

    weights: dict[Path, frozenset[str] | None]
    config: object


_TRAINING = re.compile(r"checkpoint-(\d{1,18})")
_NETWORKS = ("unet_ema", "unet")  # averaged weights first
_SUFFIXES = (".safetensors", ".pth", ".pt", ".pkl", ".bin", ".ckpt", ".tar")
_TRANSFORMER = "transformer"
_SAMPLED = ("UNet", "PixArt")  # how classes of networks are called that need a scheduler
_NO_VARIANTS = ("non_ema",)  # not averaged, beside the averaged ones


def open_folder(path: Path) -> Folder:
    """Find weights and configuration in a folder.

    Raises:
        Refusal: no weights, or a description that cannot be read.
    """
    place = path
    if not any((path / name).is_file() for name in _CONFIGS):
        place = _find_network(path)
    configs = [place / name for name in _CONFIGS if (place / name).is_file()]
    config = _read_json(configs[0]) if configs else {}
    if isinstance(config, dict) and str(config.get("_class_name")).startswith(_SAMPLED):
        config = config | _read_surroundings(place)
    return Folder(_find_weights(place), config)


def _find_network(path: Path) -> Path:
    """The folder of the network in a diffusers pipeline or training; otherwise the path itself."""
    for name in _NETWORKS:
        if (path / name / _CONFIGS[0]).is_file():
            return path / name
    if (path / _PIPELINE).is_file():
        if (path / _TRANSFORMER / _CONFIGS[0]).is_file():
            _check_transformer(path / _TRANSFORMER)
            return path / _TRANSFORMER
        raise Refusal(
            "is a whole pipeline of diffusers without a U-Net (unet/config.json); give the "
            "folder of one of its networks"
        )
    saved = {int(m[1]): f for f in path.iterdir() if (m := _TRAINING.fullmatch(f.name))}
    for step in sorted(saved, reverse=True):
        for name in _NETWORKS:
            if (saved[step] / name / _CONFIGS[0]).is_file():
                return saved[step] / name
    return path


def _check_transformer(path: Path) -> None:
    """Refuse a transformer that is not read, before its weights, which are large, are."""
    config = _read_json(path / _CONFIGS[0])
    title = str(config.get("_class_name") if isinstance(config, dict) else None)
    if not title.startswith(_SAMPLED):
        raise Refusal(
            f"is a pipeline of diffusers around a {title[:80]}; expected one of Stable Diffusion "
            "or PixArt; give the folder vae there for a decoder, or wrap all as "
            "package.module:factory"
        )


def _read_surroundings(place: Path) -> dict[str, object]:
    """Describe the pipeline around a U-Net: its class, its other networks, its scheduler.

    For the folder of a U-Net alone, up to two parent folders are searched, as trainings store
    it there. Without the scheduler, the meaning of the output is unknown.
    """
    found: dict[str, object] = {}
    place = place.resolve()
    around = [place.parent, place.parent.parent]
    marks = (_PIPELINE, f"scheduler/{_SCHEDULER}")
    homes = [place, *(home for home in around if any((home / mark).is_file() for mark in marks))]
    for home in homes:
        if "pipeline" not in found and (home / _PIPELINE).is_file():
            found["pipeline"] = _summarise(_read_json(home / _PIPELINE))
        for file in (home / _SCHEDULER, home / "scheduler" / _SCHEDULER):
            if "scheduler" not in found and file.is_file():
                found["scheduler"] = _read_scheduler(file)
    return found


def _summarise(index: object) -> dict[str, object]:
    """The class of a pipeline and the names of its parts, as ``name:class``."""
    index = index if isinstance(index, dict) else {}
    parts = {
        name: str(value[1])
        for name, value in index.items()
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2 and value[1]
    }
    listed = [f"{name}:{part}" for name, part in parts.items()][:_LONGEST_LIST]
    return {"_class_name": str(index.get("_class_name")), "parts": listed}


def _read_scheduler(path: Path) -> object:
    scheduler = _read_json(path)
    betas = scheduler.get("trained_betas") if isinstance(scheduler, dict) else None
    if isinstance(betas, list) and len(betas) > _LONGEST_LIST:
        raise Refusal(
            f"has a scheduler with {len(betas)} betas of its own ({path.name}), where a "
            "beta_schedule by name was expected; wrap it as package.module:factory instead"
        )
    return scheduler


def _find_weights(path: Path) -> dict[Path, frozenset[str] | None]:
    for name in _WEIGHTS:
        if (path / name).is_file():
            return {path / name: None}
        if (path / f"{name}.index.json").is_file():
            return _read_index(path / f"{name}.index.json")
    files = sorted(file for file in path.iterdir() if file.is_file())
    variant = _find_variant(files)
    if variant is not None:
        return variant
    found = {int(m[1]): f for f in files if (m := _NUMBERED.fullmatch(f.name))}
    if found:
        return {found[max(found)]: None}
    if (path / "saved_model.pb").is_file():
        raise Refusal(
            "is a SavedModel of TensorFlow, a program; convert its weights to safetensors first"
        )
    return {_find_generator([file for file in files if file.suffix in _SUFFIXES]): None}


def _find_variant(files: list[Path]) -> dict[Path, frozenset[str] | None] | None:
    """The weights of a variant, such as ``model.fp16.safetensors``, in one file or several."""
    for name in _WEIGHTS:
        stem, _, suffix = name.rpartition(".")
        single = re.compile(rf"{re.escape(stem)}\.(\w+)\.{suffix}")
        indexed = re.compile(rf"{re.escape(name)}\.index\.(\w+)\.json")
        for file in files:
            for pattern in (single, indexed):
                match = pattern.fullmatch(file.name)
                if match and match[1] not in _NO_VARIANTS:
                    return _read_index(file) if pattern is indexed else {file: None}
    return None


def _find_generator(files: list[Path]) -> Path:
    """The file of a training folder that holds the averaged generator, or a generator.

    Raises:
        Refusal: none, or several.
    """
    named = [file for file in files if names_network(file.stem)]
    averaged = [file for file in named if is_averaged(file.stem)]
    for some in (averaged, named, files):
        alike = {re.sub(r"\d+", "#", file.name) for file in some}
        if len(alike) == 1:  # the same name, or one that differs only in the number of steps
            return max(some, key=lambda file: [int(n) for n in re.findall(r"\d+", file.name)])
    if files:
        shown = ", ".join(file.name for file in files[:6])
        raise Refusal(f"is a folder of several files ({shown}); give the one of the generator")
    raise Refusal(
        f"is a folder without weights; expected {', '.join(_WEIGHTS[:3])}, G_ema.pth or model_N.pt "
        "in it; give the folder that holds one, or the file itself"
    )


def _read_index(path: Path) -> dict[Path, frozenset[str] | None]:
    """Which file of several holds which names."""
    index = _read_json(path)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places:
        raise Refusal(f"has an index without a weight_map ({path.name}); get the folder again")
    files: dict[Path, set[str]] = {}
    for name, file in places.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise Refusal(f"has an index ({path.name}) that names {str(file)[:80]!r}, no file here")
        files.setdefault(path.parent / file, set()).add(name)
    return {file: frozenset(names) for file, names in files.items()}


def _read_json(path: Path) -> object:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise Refusal(f"has a {path.name} of more than 16 MB; get the folder again")
        return json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"has a {path.name} that is not JSON; get the folder again") from error
