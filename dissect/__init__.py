"""Opens image generators: which unit draws what, with evidence.

    run = dissect.dissect("faces-dcgan", "faces", out="runs/faces")
    run.units("main.7")

Names are imported when they are first used, so that ``import dissect`` costs nothing.
"""

from typing import TYPE_CHECKING

from dissect.siblings import check_segmenters

__version__ = "0.1.0"

check_segmenters()  # before it is imported

from segmenters.lazy import lazy_names  # noqa: E402

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dissect.config import RunConfig as RunConfig
    from dissect.counting.driver import dissect as dissect
    from dissect.edits import (
        Ablate as Ablate,
        Insert as Insert,
        Move as Move,
        Scale as Scale,
        intervene as intervene,
    )
    from dissect.errors import (
        CheckpointError as CheckpointError,
        ConfigError as ConfigError,
        DissectError as DissectError,
        GeneratorError as GeneratorError,
        LayerError as LayerError,
        RunError as RunError,
        SegmenterError as SegmenterError,
    )
    from dissect.generators import load_generator as load_generator
    from dissect.generators.base import (
        Generator as Generator,
        LayerInfo as LayerInfo,
        Space as Space,
    )
    from dissect.generators.wrapping import wrap as wrap
    from dissect.inspection import inspect_generator as inspect_generator
    from dissect.latents import Latent as Latent
    from dissect.runs import Run as Run, open_run as open_run
    from dissect.tracing import trace as trace
    from segmenters.registry import load_segmenter as load_segmenter
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
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
        },
    )
