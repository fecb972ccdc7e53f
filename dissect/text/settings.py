"""What the actions of ``dissect text`` can be told; without torch, for the command line."""

from dissect.directions.question import RELEVANCE
from dissect.settings import Settings, setting
from segmenters.scenes_vocabulary import SCENES_CLIP


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


class WordsOptions(Settings):
    """The model of images and words, and the seed."""

    model: str = setting(
        "of images and words: scenes-clip, a folder of open_clip, or ARCHITECTURE@FILE",
        default=SCENES_CLIP, metavar="MODEL",
    )  # fmt: skip
    of_seed: int = setting("seed of the samples", default=0, at_least=0, flag="--seed")


class PictureOptions(Settings):
    """A picture as output."""

    out: str = setting("PNG to write", metavar="FILE")


class FolderOptions(Settings):
    """A folder of directions as output."""

    out: str = setting("folder to write", metavar="FOLDER")


class TableOptions(Settings):
    """A table as output."""

    out: str = setting("CSV to write", metavar="FILE")


class SampleOptions(Settings):
    """The sample to change."""

    sample: int = setting("index of the sample to change", default=0, at_least=0)
    crops: int = setting("crops of the image in each step", default=4, at_least=0)


class EditOptions(Settings):
    """The ways of ``edit``."""

    way: str = setting(
        "optimise, each image anew, or mapper, a network that is trained once for the text",
        default="optimise", choices=("optimise", "mapper"),
    )  # fmt: skip
    steps: int = setting("optimise: steps of Adam", default=100, at_least=0)
    rate: float = setting("optimise: Adam's learning rate", default=0.1, above=0)
    keep_near: float = setting(
        "optimise: weight of staying near the start", default=0.008, at_least=0
    )
    mapper: str | None = setting(
        "mapper: its file, trained and written if it is not there; default: OUT with .safetensors",
        default=None, metavar="FILE",
    )  # fmt: skip
    strength: float = setting("mapper: strength of the edit (α)", default=1.0)


class EffectsOptions(Settings):
    """The measurement behind ``directions``."""

    effects: str | None = setting(
        "file with the effects of channels, written or continued; default: effects.safetensors in "
        "the folder's parent",
        default=None, metavar="FILE",
    )  # fmt: skip
    images: int = setting("images in which each channel is moved", default=20, at_least=1)
    screened: float = setting(
        "share of channels that are measured, those of the largest estimated effect",
        default=0.25, above=0, at_most=1,
    )  # fmt: skip
    relevance: float = setting(
        "channels whose part in the text's direction is smaller are left out (β)",
        default=RELEVANCE, at_least=0,
    )  # fmt: skip


class RegionOptions(Settings):
    """The region of ``paint``."""

    box: str | None = setting(
        "rectangle to paint, top,left,bottom,right in pixels", default=None, metavar="BOX"
    )
    mask: str | None = setting(
        "mask instead, a PNG of the image's size, light where it is painted",
        default=None, metavar="FILE",
    )  # fmt: skip
    latent: str | None = setting(
        "latent of an image of one's own, from dissect invert", default=None, metavar="FILE"
    )


class LabelOptions(Settings):
    """The images and words of ``label``."""

    choices: str | None = setting(
        "words with | between them; default: the run's concepts that the model knows",
        default=None, metavar="WORDS",
    )  # fmt: skip
    probe: int = setting("first samples of the run that are looked at", default=1000, at_least=2)
    top: int = setting("images that describe a unit", default=100, at_least=1)


class GenerateOptions(Settings):
    """The samples of ``generate``."""

    samples: int = setting("samples drawn, from 0 of the seed", default=16, at_least=1)
    keep: int = setting("how many are kept, the nearest first", default=4, at_least=1)
