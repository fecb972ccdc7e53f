"""Folders in which programs leave a model: which file holds what.

- Hugging Face: ``config.json`` beside ``model.safetensors`` (or ``diffusion_pytorch_model``, or
  ``pytorch_model.bin``), perhaps in several files with an index of them;
- lucidrains' stylegan2_pytorch: ``.config.json`` beside ``model_N.pt``, of which the last counts.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from dissect.generators.reading.bounds import Refusal

_WEIGHTS = (
    "model.safetensors",
    "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin",
    "diffusion_pytorch_model.bin",
)
_CONFIGS = ("config.json", ".config.json")
_LARGEST_JSON = 16 << 20
_NUMBERED = re.compile(r"model_(\d{1,18})\.pt")


@dataclass(frozen=True)
class Folder:
    """What a folder holds.

    Args:
        weights: Files to read, each with the names to take from it; None means all.
        config: What it says of itself.
    """

    weights: dict[Path, frozenset[str] | None]
    config: object


def open_folder(path: Path) -> Folder:
    """Find weights and configuration in a folder.

    Raises:
        Refusal: none there, or a description that cannot be read.
    """
    configs = [path / name for name in _CONFIGS if (path / name).is_file()]
    return Folder(_find_weights(path), _read_json(configs[0]) if configs else {})


def _find_weights(path: Path) -> dict[Path, frozenset[str] | None]:
    for name in _WEIGHTS:
        if (path / name).is_file():
            return {path / name: None}
        if (path / f"{name}.index.json").is_file():
            return _read_index(path / f"{name}.index.json")
    found = {int(m[1]): f for f in path.iterdir() if (m := _NUMBERED.fullmatch(f.name))}
    if found:
        return {found[max(found)]: None}
    if (path / "model_index.json").is_file():
        raise Refusal(
            "is a whole pipeline of diffusers; give the folder of one of its networks, such as "
            f"{path / 'unet'}"
        )
    if (path / "saved_model.pb").is_file():
        raise Refusal(
            "is a SavedModel of TensorFlow, a program; convert its weights to safetensors first"
        )
    raise Refusal(
        f"is a folder without weights; expected {', '.join(_WEIGHTS[:3])} or model_N.pt in it; "
        "give the folder that holds one, or the file itself"
    )


def _read_index(path: Path) -> dict[Path, frozenset[str] | None]:
    """Which names lie in which of several files."""
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
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"has a {path.name} that is no JSON; get the folder again") from error
