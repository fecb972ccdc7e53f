"""Shapes and types of arguments and results, checked while the tests run.

``install`` must come before the first import of these packages.
"""

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep673Exception
from jaxtyping import install_import_hook

PACKAGES = (
    "dissect.bases",
    "dissect.directions.ganspace",
    "dissect.directions.hessian",
    "dissect.generators.biggan",
    "dissect.generators.chains",
    "dissect.generators.dcgan",
    "dissect.generators.eigengan",
    "dissect.generators.labels",
    "dissect.generators.lightweight_gan",
    "dissect.generators.lucidrains",
    "dissect.generators.mapping",
    "dissect.generators.r3gan",
    "dissect.generators.states",
    "dissect.generators.styled",
    "dissect.generators.stylegan1",
    "dissect.generators.stylegan2",
    "dissect.latents",
    "dissect.statistics",
    "dissect.worlds",
    "segmenters.autocast",
    "segmenters.class_names",
    "segmenters.features",
    "segmenters.predictors.face_nets",
    "segmenters.predictors.table",
    "segmenters.predictors.tfjs",
    "segmenters.predictors.vgg16",
    "segmenters.quadrants",
    "segmenters.reading",
    "segmenters.transformers_models",
)
"""Packages and modules that are pure on tensors. Left out are those that refuse wrong values in a
line of their own, which a check before it would hide: segmenters that call ``check_images``
(``colour``, ``faces``, ``scenes``, ``network_segmenter``, ``areas``, most predictors) or join such ones,
``wrapping``, and what all generators share (``base``, ``z_only``), which takes generators of one's
own that lack a member; ``pggan`` and ``stylegan3``, whose configurations take the lists and
dictionaries of a JSON file."""

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do for a float


def check(function):
    """The function, checked; as it is where its annotations name ``Self``."""
    try:
        return _check(function)
    except BeartypeDecorHintPep673Exception:  # jaxtyping checks methods one by one
        return function


def install():
    """Check these packages from now on."""
    install_import_hook(PACKAGES, f"{__name__}.check")
