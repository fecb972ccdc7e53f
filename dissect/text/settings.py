"""Settings of Paint by Word and of StyleCLIP's mapper; without torch, for the command line."""

from dissect.settings import Settings, setting


class PaintSettings(Settings):
    """The search of ``paint``."""

    draws: int = setting(
        "random samples that are tried in the region first; the search starts at the best",
        default=64, at_least=0,
    )  # fmt: skip
    generations: int = setting("generations of the search in w", default=10, at_least=0)
    population: int = setting("points of each generation", default=12, at_least=4)
    spread: float = setting("first step of the search, in deviations of w", default=0.5, above=0)
    refine: int = setting("steps of Adam after it, one w per layer", default=10, at_least=0)
    refine_rate: float = setting("Adam's learning rate, in deviations of w", default=0.05, above=0)
    near: float = setting("weight of staying near the image's own w", default=0.005, at_least=0)
    smallest: int = setting(
        "layers of fewer pixels a side keep the original's styles", default=1, at_least=1
    )


class MapperSettings(Settings):
    """The training of a mapper."""

    mapper_steps: int = setting("mapper: steps of the mapper's training", default=200, at_least=1)
    mapper_rate: float = setting(
        "mapper: Adam's learning rate for the mapper", default=0.01, above=0
    )
    mapper_batch: int = setting("mapper: samples of each step", default=2, at_least=1)
    mapper_near: float = setting("mapper: weight of its mean squared step", default=0.8, at_least=0)
