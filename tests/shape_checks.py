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
    "dissect.latents",
    "dissect.statistics",
    "dissect.worlds",
    "segmenters.class_names",
    "segmenters.features",
    "segmenters.reading",
)
"""Packages that are pure on tensors. Segmenters themselves refuse wrong images in a line of their
own, which a check before it would hide."""

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
