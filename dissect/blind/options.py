"""The options of a blind test; imports none of the modules that run the test."""

from dissect.settings import Settings, setting


class BlindOptions(Settings):
    """Options of a blind test.

    Raises:
        ConfigError: a setting of a wrong type or out of its range.
    """

    n_units: int = setting(
        "units that are asked about", default=60, at_least=1, at_most=1000, flag="--units"
    )
    seed: int = setting("seed of the units and of the choices", default=0, at_least=0)
