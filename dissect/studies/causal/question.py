"""The settings of a study of every unit of some layers, one at a time."""

from dataclasses import asdict

from dissect.errors import SettingError
from dissect.settings import Settings, like, setting
from dissect.studies.names import default_name
from dissect.studies.unit_question import UnitQuestion

CAUSAL = "causal"


class CausalQuestion(Settings, kw_only=True):
    """Which concepts disappear when a unit is ablated.

    Raises:
        ConfigError: a setting of a wrong type or out of its range.
    """

    layers: tuple[str, ...] = setting(
        "layers of the run whose units are tried; default: all of them",
        default=(), metavar="LAYER,…", expected="names of layers, with commas",
    )  # fmt: skip
    n_samples: int = like(
        UnitQuestion, "n_samples", default=128, meaning="number of samples to measure"
    )
    n_alike: int = setting(
        "other units of the layer that each is compared with: those which change images most "
        "nearly as strongly",
        default=10, at_least=2, flag="--alike", metavar="UNITS",
    )  # fmt: skip
    fdr: float = setting(
        "false discovery rate at which a unit is called causal", default=0.05, above=0, below=1
    )

    def check(self) -> None:
        if len(set(self.layers)) < len(self.layers):
            raise SettingError(
                "layers", f"is {', '.join(self.layers)}; expected different names of layers"
            )

    def to_json(self) -> dict[str, object]:
        """The question as recipe.json has it."""
        return {**asdict(self), "layers": list(self.layers)}

    def folder_name(self) -> str:
        """The name of the effect if none is given."""
        return default_name(CAUSAL, *(self.layers or ["all"]), self.n_samples)
