"""The command ``trust``: whether a segmenter agrees with itself on a generator's images.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
import json

from dissect.commands.command import (
    Command,
    WeightsOptions,
    find_generator,
    nothing_kept,
    print_json,
)
from dissect.config import RunConfig, RunOptions
from dissect.settings import Settings, add_settings, given_settings, like, setting


class TrustOptions(Settings):
    """Options of ``trust``."""

    segmenter: str = setting("as zoo lists them; join with +")
    generator: str = like(RunConfig, "generator", default=RunConfig.declared["generator"].default)
    against: str | None = setting(
        "another segmenter, compared by the same names and by best match",
        default=None, metavar="SEGMENTER",
    )  # fmt: skip
    n_samples: int = like(RunConfig, "n_samples", default=64, at_least=1)
    rows: int | None = setting(
        "most concepts to print; default: all that occur", default=None, at_least=1
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    positional = ["segmenter", "generator"]
    names = ["segmenter", "generator", "against", "n_samples"]
    add_settings(parser, TrustOptions, *names, positional=positional)
    add_settings(parser, RunConfig, "seed", "label", "truncation", "block")
    add_settings(parser, RunOptions, "device")
    add_settings(parser, WeightsOptions)
    add_settings(parser, TrustOptions, "rows")


def _trust(options: argparse.Namespace) -> None:
    from dissect.counting.samples import check_device
    from dissect.counting.trust import measure_trust
    from dissect.generators import load_generator
    from dissect.terminal import describe_trust
    from segmenters import load_segmenter

    settings = given_settings(options, RunConfig)
    chosen = find_generator(options)
    settings |= {"generator": chosen, "layers": (), "n_samples": max(16, options.n_samples)}
    config = RunConfig(**settings)
    check_device(options.device)
    segmenter = load_segmenter(options.segmenter, device=options.device)
    other = options.against and load_segmenter(options.against, device=options.device)
    generator = load_generator(chosen, device=options.device)
    with nothing_kept("nothing was measured to its end, nothing is kept"):
        found, comparison = measure_trust(
            segmenter, generator, config, n_samples=options.n_samples, other=other
        )
    table = found.table()
    if comparison is not None:
        table = table.merge(comparison.table(), on="concept", validate="one_to_one")
    if options.json:
        print_json(
            {
                "segmenter": segmenter.name,
                "against": None if other is None else other.name,
                "generator": generator.name,
                "samples": options.n_samples,
                "seed": options.seed,
                "concepts": json.loads(table.to_json(orient="records", double_precision=15)),
            }
        )
        return
    against = "" if other is None else f" · against {other.name}"
    print(
        f"{segmenter.name}{against} · {generator.name} · {options.n_samples:,} samples of seed "
        f"{options.seed}\n"
    )
    print(describe_trust(table, options.rows))


COMMANDS = (
    Command(
        "trust",
        "does a segmenter agree with itself, and with another one, on generated images?",
        _add_options,
        _trust,
        examples=("dissect trust scenes scenes-stylegan2",),
    ),
)
