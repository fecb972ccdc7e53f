"""The command ``run``: dissect a generator into a run folder.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse

from dissect.commands.command import (
    Command,
    PromptsOptions,
    WeightsOptions,
    find_generator,
    print_json,
)
from dissect.config import RunConfig, RunOptions
from dissect.errors import ConfigError, PartialRunError
from dissect.settings import Settings, add_settings, given_settings, setting


class SampleOptions(Settings):
    """The user's own samples."""

    latents: str | None = setting(
        "dissect these latents instead of random ones: npy, npz, pt or safetensors, of z, w or w+; "
        "SPACE:FILE where the shape fits several spaces",
        default=None, metavar="FILE",
    )  # fmt: skip
    images: str | None = setting(
        "dissect a network that looks at images over those of this folder; GENERATOR is "
        "torchvision:ARCHITECTURE or package.module:factory then",
        default=None, metavar="FOLDER",
    )  # fmt: skip


def _with_samples(spec: str, options: argparse.Namespace) -> str:
    """The generator with the given samples."""
    from dissect.generators.given_latents import add_latents
    from dissect.generators.image_networks import add_images

    for other in ("latents", "prompts"):
        if options.images is not None and getattr(options, other) is not None:
            raise ConfigError(f"both --{other} and --images were given; expected one of the two")
    return add_images(add_latents(spec, options.latents), options.images)


class OutOptions(Settings):
    """The output folder of a run."""

    out: str | None = setting("run folder to write", default=None, metavar="RUN")
    dry_run: bool = setting(
        "only estimate passes, memory, time and disk; writes nothing", default=False
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, RunConfig, "generator", "segmenter", positional=["generator"])
    add_settings(parser, RunOptions, "layers")
    add_settings(parser, RunConfig, "n_samples")
    add_settings(parser, OutOptions, "out")
    add_settings(
        parser, RunConfig, without=["generator", "segmenter", "layers", "n_samples", "pilot",
                                    "top_images"],
    )  # fmt: skip
    add_settings(
        parser,
        RunOptions,
        "device",
        "resume",
        "workers",
        "cluster",
        "memory",
        "cache",
        "save_every",
        "no_strips",
        "profile",
        "keep_counts",
        "extend",
    )
    add_settings(parser, WeightsOptions)
    add_settings(parser, SampleOptions)
    add_settings(parser, PromptsOptions)
    add_settings(parser, OutOptions, "dry_run")


def _run(options: argparse.Namespace) -> None:
    if options.out is None and not options.dry_run:
        raise ConfigError(
            "--out is missing; expected the run folder to write; only --dry-run goes without it"
        )
    from dissect.counting.driver import dissect
    from dissect.counting.planning import plan_run
    from dissect.runs import open_run
    from dissect.terminal import describe_plan, describe_run

    config = given_settings(options, RunConfig)
    config["generator"] = _with_samples(find_generator(options), options)
    models = [config.pop("generator"), config.pop("segmenter")]
    if options.dry_run:
        where = {name: getattr(options, name) for name in ("device", "memory")}
        plan = plan_run(*models, **where, **config)
        print_json(plan.to_json()) if options.json else print(describe_plan(plan))
        return
    partial = None
    try:
        run = dissect(
            *models, out=str(options.out), resume=options.resume, cache=options.cache,
            memory=options.memory, device=options.device, progress=not options.quiet,
            workers=options.workers, cluster=options.cluster, save_every=options.save_every,
            no_strips=options.no_strips, profile=options.profile, keep_counts=options.keep_counts,
            extend=options.extend, **config,
        )  # fmt: skip
    except PartialRunError as error:
        partial, run = error, open_run(str(options.out))
    if options.json:
        print_json(run.summary())
    else:
        print(describe_run(run))
        print(f"\ndissect show {options.out}\ndissect report {options.out}")
    if partial is not None:
        raise partial


COMMANDS = (
    Command(
        "run",
        "dissect a generator into a run folder",
        _add_options,
        _run,
        examples=(
            "dissect run scenes-stylegan2 --segmenter scenes --samples 500 --out runs/a",
            "dissect run ffhq.pkl --latents w:mine.npy --segmenter faces --samples 64 --out runs/b",
            "dissect run torchvision:resnet18 --images photos --segmenter colour --out runs/c",
        ),
    ),
)
