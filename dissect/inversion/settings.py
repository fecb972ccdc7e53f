"""Settings of an inversion and of a tuning; plain values, without torch."""

from dissect.settings import Settings, setting

SPACES = ("z", "w", "w+", "s", "p", "p+")
"""Spaces that images can be inverted into; ``coordinates`` has a table of them."""


class InversionSettings(Settings):
    """Settings of an inversion.

    Example:
        >>> InversionSettings(n_steps=100).n_starts
        4
    """

    space: str = setting("space to search in", default="w+", choices=SPACES)
    n_steps: int = setting("steps of Adam", default=300, at_least=1, flag="--steps")
    n_starts: int = setting("starts of each image", default=4, at_least=1, flag="--starts")
    rate: float = setting("Adam's learning rate", default=0.1, above=0)
    perceptual: float = setting(
        "weight of the perceptual term, 1: as large as the pixel term at the start; needs VGG16",
        default=0.0, at_least=0,
    )  # fmt: skip
    prior: float = setting(
        "weight of the distance from the generator's own latents", default=0.0, at_least=0
    )
    domain: float = setting(
        "weight of staying where the encoder finds the latent again (in-domain); needs an encoder",
        default=0.0, at_least=0,
    )  # fmt: skip
    noise: bool = setting("search the noise maps of its layers too", default=False)
    noise_weight: float = setting(
        "weight of keeping noise maps like noise, 1: as much as the pixel term at the start",
        default=1.0, at_least=0,
    )  # fmt: skip
    seed: int = setting("of starts and jitter", default=0, at_least=0)


class TuningSettings(Settings):
    """Settings of a tuning."""

    tuning_steps: int = setting("steps in which the generator moves", default=200, at_least=1)
    tuning_rate: float = setting("Adam's learning rate of the tuning", default=1e-3, above=0)
    progressive: bool = setting(
        "tune in five stages, early layers first, and let the latent move along (DGP)",
        default=False,
    )
    tuning_enough: float = setting(
        "loss at which the tuning stops, mean square of images in [-1, 1]",
        default=1e-4, at_least=0,
    )  # fmt: skip


class DragSettings(Settings):
    """Settings of a drag."""

    layer: str | None = setting(
        "layer whose features are followed; default: the last one of a quarter of the image's size",
        default=None,
    )
    n_steps: int = setting("most steps", default=100, at_least=1, flag="--steps")
    rate: float = setting("Adam's learning rate", default=0.02, above=0)
    layers: int = setting("how many layers of w+ are moved, from the first", default=6, at_least=1)
    outside: float = setting("weight of keeping what is outside the mask", default=20.0, at_least=0)


class MultiCodeSettings(Settings):
    """Settings of a search for several codes."""

    n_codes: int = setting("codes of an image", default=8, at_least=1, flag="--codes")
    n_steps: int = setting("steps of Adam", default=500, at_least=1, flag="--steps")
    rate: float = setting("Adam's learning rate", default=0.05, above=0)
    seed: int = setting("of the first codes", default=0, at_least=0)
