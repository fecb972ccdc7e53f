"""All errors that a user can cause: one base class, one subclass per kind.

``except DissectError`` catches all of them, but not faults of the program itself.
"""

from segmenters.errors import DissectError, SegmenterError

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DissectError",
    "GeneratorError",
    "LayerError",
    "PartialRunError",
    "RunError",
    "SegmenterError",
]


class ConfigError(DissectError):
    """A setting of a wrong type, unknown or out of its range, or contradictory settings."""


class SettingError(ConfigError):
    """A ConfigError about one setting, which the command line names by its flag.

    Args:
        name: Name of the setting as a parameter.
        problem: The rest of the line: "is 0; expected a whole number of at least 1".
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"{self.name} {self.problem}"


class CheckpointError(DissectError):
    """A file of weights that is missing, damaged, or of an unknown format."""


class GeneratorError(DissectError):
    """An unknown generator, or one that violates the Generator protocol."""


class LayerError(DissectError):
    """A layer that the generator does not have, or whose output is not a feature map."""


class RunError(DissectError):
    """A run folder that is missing, damaged, newer than this version, or holds something else."""


class PartialRunError(RunError):
    """A run that ended without some of its samples, which its folder lists. Exit status 1."""
