"""Opens image generators: which unit draws what, with evidence.

    run = dissect.dissect("faces-dcgan", "faces", out="runs/faces")
    run.units("main.7")

Names are imported when they are first used, so that ``import dissect`` costs nothing.
"""

from segmenters.lazy import lazy_names

_HOMES = {
    "Ablate": "dissect.edits",
    "CheckpointError": "dissect.errors",
    "ConfigError": "dissect.errors",
    "DissectError": "dissect.errors",
    "Generator": "dissect.generators.base",
    "GeneratorError": "dissect.errors",
    "Insert": "dissect.edits",
    "Latent": "dissect.latents",
    "LayerError": "dissect.errors",
    "LayerInfo": "dissect.generators.base",
    "Move": "dissect.edits",
    "Run": "dissect.runs",
    "RunConfig": "dissect.config",
    "RunError": "dissect.errors",
    "Scale": "dissect.edits",
    "SegmenterError": "dissect.errors",
    "Space": "dissect.generators.base",
    "dissect": "dissect.counting.driver",
    "inspect_generator": "dissect.inspection",
    "intervene": "dissect.edits",
    "load_generator": "dissect.generators",
    "load_segmenter": "segmenters.registry",
    "open_run": "dissect.runs",
    "trace": "dissect.tracing",
    "wrap": "dissect.generators.wrapping",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
