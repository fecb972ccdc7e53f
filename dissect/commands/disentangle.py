"""The command ``disentangle``: which latent space is more disentangled?

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from dissect.commands.command import (
    Command,
    WeightsOptions,
    find_generator,
    nothing_kept,
    print_json,
)
from dissect.commands.directions import ReaderOptions
from dissect.config import RunConfig, RunOptions
from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, like, setting


class DisentangleOptions(Settings):
    """Options of ``disentangle``."""

    generator: str = like(RunConfig, "generator", default=RunConfig.declared["generator"].default)
    spaces: tuple[str, ...] | None = setting(
        "spaces or layers; default: all spaces of the generator", default=None
    )
    attributes: tuple[str, ...] | None = setting("attributes that count", default=None)
    n_samples: int = setting("random samples", default=600, at_least=100)
    images: int = setting("fresh images that are edited", default=32, at_least=8)
    trees: int = setting("trees of each classifier", default=30, at_least=1)
    seed: int = like(RunConfig, "seed", default=RunConfig.declared["seed"].default)


def _add_disentangle(parser: argparse.ArgumentParser) -> None:
    names = [name for name in DisentangleOptions.declared if name != "generator"]
    add_settings(parser, DisentangleOptions, "generator", positional=["generator"])
    add_settings(parser, ReaderOptions)
    add_settings(parser, DisentangleOptions, *names)
    add_settings(parser, RunOptions, "device")
    add_settings(parser, WeightsOptions)


def _disentangle(options: argparse.Namespace) -> None:
    from dissect.directions.disentanglement import (
        PUBLISHED,
        check_place,
        describe_spaces,
        measure_spaces,
    )
    from dissect.directions.samples import AttributeReader
    from dissect.generators import load_generator
    from segmenters.registry import load_predictor

    if not options.predictor:
        raise ConfigError(
            "disentangle was given no predictor of attributes; expected one; give --predictor "
            "NAME, as dissect zoo lists them"
        )
    generator = load_generator(find_generator(options), device=options.device)
    predictors = [load_predictor(name, device=options.device) for name in options.predictor]
    reader = AttributeReader(predictors, options.attributes)
    # p and p+ are w and w+ with every coordinate bent, so by default only these are measured.
    usual = [name for name in generator.spaces if name not in ("p", "p+")]
    spaces = usual if options.spaces is None else list(options.spaces)
    for space in spaces:
        check_place(generator, space)
    with nothing_kept("nothing was measured to its end, nothing is kept"):
        found = measure_spaces(
            generator, reader, spaces, n_samples=options.n_samples, n_edited=options.images,
            trees=options.trees, seed=options.seed, progress=not options.quiet,
        )  # fmt: skip
    if options.json:
        import math

        def plain(one: Any) -> Any:
            return {name: None if math.isnan(value) else value for name, value in vars(one).items()}

        rows = [
            {
                "space": one.space, "codes": one.n_codes, "reached": one.reached,
                "disentanglement": plain(one.disentanglement),
                "completeness": plain(one.completeness),
                "informativeness": plain(one.informativeness),
                "chance": list(one.chance),
                "dependency": plain(one.dependency), "published": PUBLISHED.get(one.space),
            }
            for one in found
        ]  # fmt: skip
        print_json(
            {"generator": generator.name, "attributes": list(reader.attributes), "spaces": rows}
        )
        return
    print(
        describe_spaces(
            found, generator=generator.name, attributes=reader.attributes,
            n_samples=options.n_samples,
        )
    )  # fmt: skip


COMMANDS: Sequence[Command] = (
    Command(
        "disentangle",
        "which latent space is more disentangled? DCI and attribute dependency",
        _add_disentangle,
        _disentangle,
        examples=("dissect disentangle scenes-stylegan2 --predictor scenes",),
    ),
)
