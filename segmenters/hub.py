"""The folder of a model: a local one, or from the Hugging Face hub.

Files are downloaded once to the hub's own cache (``HF_HOME``) and then read from there without a
network. No downloaded code is run: only files with the given names are downloaded, and weights are
read by ``safetensors`` or by ``torch.load(weights_only=True)``.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from segmenters import received
from segmenters.errors import SegmenterError

_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def find_folder(target: str, *, patterns: Sequence[str]) -> Path:
    """The folder of a target.

    Args:
        target: A folder, or ``OWNER/NAME`` of the hub, optionally with ``@REVISION`` (a branch, a
            tag or a commit); the newest one otherwise.
        patterns: Names of the files to download, with ``*``.

    Raises:
        SegmenterError: no such folder; no such id or revision on the hub; no connection to it.
    """
    folder = Path(target).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise SegmenterError(f"{target} is a file; expected the folder that holds it")
    repository, _, revision = target.partition("@")
    if not _ID.fullmatch(repository) or repository.startswith("."):
        raise SegmenterError(
            f"there is no folder {target}; expected one, or OWNER/NAME of the Hugging Face hub"
        )
    return _fetch(repository, revision or None, patterns)


def _fetch(repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
    # Imported here, since it takes a second and local folders do not need it.
    import huggingface_hub as hub  # noqa: PLC0415
    from huggingface_hub import errors  # noqa: PLC0415

    at = f"{repository}@{revision}" if revision else repository
    try:
        return Path(
            hub.snapshot_download(repository, revision=revision, allow_patterns=list(patterns))
        )
    except errors.GatedRepoError:
        fault = "requires its licence to be accepted; accept it on its page and log in with hf auth"
    except errors.RepositoryNotFoundError:
        fault = "does not exist, or is private; expected a folder or an id of the hub; check both"
    except errors.RevisionNotFoundError:
        fault = "has no such revision; expected a branch, a tag or a commit after @"
    except errors.HFValidationError:
        fault = "is not an id; expected OWNER/NAME of the hub, or a folder"
    except (OSError, errors.OfflineModeIsEnabled, hub.utils.HfHubHTTPError) as error:
        fault = f"can't be fetched ({_first_words(error)}); fetch it where there is a network with "
        fault += f"hf download {repository}, or give the folder it lies in"
    except Exception as error:  # the hub's client passes on errors of its http library
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            raise
        fault = f"can't be fetched ({_first_words(error)}); the hub does not answer; give a folder"
    raise SegmenterError(f"there is no folder {at}, and on the Hugging Face hub {at} {fault}")


def _first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def read_json(path: Path) -> Any:
    """Read the content of a JSON file.

    Raises:
        SegmenterError: no such file, or no JSON; see ``segmenters.received``.
    """
    return received.read_json(path, SegmenterError, "get it again")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file; runs no code in it.

    Raises:
        SegmenterError: a file that cannot be read, or contains more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise SegmenterError(f"cannot read the weights {path}: {_first_words(error)}") from None
    except Exception as error:  # torch raises many kinds for a damaged file
        raise SegmenterError(
            f"cannot read {path} as tensors alone ({_first_words(error)}); expected a state dict; "
            "save it with safetensors, or torch.save(model.state_dict(), FILE)"
        ) from None
    return as_state(found, path)


def as_state(found: object, path: Path) -> dict[str, Tensor]:
    """The state dict in a file, directly or under ``state_dict`` or ``model``.

    Raises:
        SegmenterError: no state dict.
    """
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise SegmenterError(
            f"{path} holds a {type(found).__name__}; expected a state dict: names and tensors"
        )
    return dict(found)


def load_state(network: torch.nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors into a network; all of them must match.

    Raises:
        SegmenterError: tensors that are missing, unexpected, or of another shape.
    """
    single = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    try:
        network.load_state_dict(single)
    except RuntimeError as error:
        raise SegmenterError(
            f"{path} does not fit a {type(network).__name__}: {' '.join(str(error).split())[:200]}"
        ) from None
