"""Opens image generators: which unit draws what, with evidence.

    run = dissect.dissect("faces-dcgan", "faces", out="runs/faces")
    run.units("main.7")

Names are imported when they are first used, so that ``import dissect`` costs nothing.
"""

import importlib

_HOMES = {
    "CheckpointError": "dissect.errors",
    "ConfigError": "dissect.errors",
    "DissectError": "dissect.errors",
    "Generator": "dissect.generators",
    "GeneratorError": "dissect.errors",
    "Latent": "dissect.latents",
    "LayerError": "dissect.errors",
    "LayerInfo": "dissect.generators",
    "Run": "dissect.runs",
    "RunConfig": "dissect.config",
    "RunError": "dissect.errors",
    "SegmenterError": "dissect.errors",
    "Space": "dissect.generators",
    "dissect": "dissect.dissection",
    "inspect_generator": "dissect.inspection",
    "load_generator": "dissect.generators",
    "load_segmenter": "segmenters",
    "open_run": "dissect.runs",
    "trace": "dissect.trace",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'dissect' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
