"""Settings for finding directions: the methods and their parameters; does not import torch."""

from dataclasses import replace

from dissect.errors import ConfigError
from dissect.settings import Settings, setting

METHODS = {
    "boundary": "a boundary for each attribute (InterFaceGAN, HiGAN)",
    "sefa": "closed form, from the weights (SeFa)",
    "ganspace": "principal components of w or of a layer (GANSpace)",
    "stylespace": "single channels of s that follow an attribute (StyleSpace)",
    "hessian": "directions that act independently (Hessian penalty)",
    "hspace": "the bottleneck of a diffusion model (Asyrp)",
}
"""Method → its description."""


FORMATS = ("interfacegan", "higan", "ganspace", "factor", "fs3")
"""Formats of other programs' files, which ``interchange`` reads."""
RELEVANCE = 0.15
"""β of StyleCLIP: channels with a smaller relevance for a text are omitted."""


class FitQuestion(Settings):
    """Settings for finding directions."""

    method: str = setting("how directions are found", default="boundary", choices=tuple(METHODS))
    space: str | None = setting(
        "latent space of boundaries; default: w where there is one, else the first", default=None
    )
    attributes: tuple[str, ...] | None = setting(
        "attributes that get a direction; default: all that vary", default=None
    )
    keep: tuple[str, ...] = setting(
        "attributes that boundaries leave as they are; 'all': every other one", default=()
    )
    n_samples: int = setting("random samples that are looked at", default=1000, at_least=40)
    share: float = setting(
        "of the samples at each end of a score", default=0.25, above=0, at_most=0.5
    )
    n_directions: int = setting("how many directions are found", default=5, at_least=1)
    layer: str | None = setting("whose components are taken, instead of w", default=None)
    layers: tuple[int, ...] | None = setting(
        "layers of w+ whose weights count, and which are moved", default=None
    )
    normalisation: str = setting("of the weight's rows", default="rows", choices=("rows", "none"))
    steps: int = setting("steps of learning directions", default=60, at_least=1)
    seed: int = setting("of the samples", default=0, at_least=0)
    label: int | None = setting(
        "class of all samples; default: that of the run, if one is given", default=None, at_least=0
    )
    truncation: float | None = setting(
        "truncation ψ of the samples; default: that of the run, if one is given, else 1",
        default=None, at_least=-2, at_most=2,
    )  # fmt: skip

    def check(self) -> None:
        if self.keep and self.method not in ("boundary", "hspace"):
            raise ConfigError(
                f"keep was given for {self.method}; expected it for boundaries, which can be "
                "conditioned; leave it out"
            )

    def of_run(self, *, label: int | None, truncation: float) -> "FitQuestion":
        """The same settings with the label and truncation of a run, unless they are given."""
        return replace(
            self,
            label=label if self.label is None else self.label,
            truncation=truncation if self.truncation is None else self.truncation,
        )
