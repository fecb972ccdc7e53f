"""The command ``run``: dissect a generator into a run folder.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse

from dissect.commands.adding import Add, print_json
from dissect.errors import ConfigError

# Options of `run` that are fields of RunConfig under the same name.
_SETTINGS = (
    "seed", "label", "truncation", "threshold", "tail", "min_iou", "min_over_chance", "fdr", "grid",
    "compat", "coactivation", "min_share",
)  # fmt: skip


def add_run(add: Add) -> None:
    """Add the subcommand, with ``add(name, command, summary)``."""
    run = add("run", _run, "dissect a generator into a run folder")
    run.add_argument("generator", metavar="GENERATOR")
    run.add_argument(
        "--segmenter",
        required=True,
        help="as zoo lists them; join with +; +quadrants adds halves of objects",
    )
    run.add_argument(
        "--layers",
        default="all",
        help="comma-separated names, or all; NAME@rotation:SEED, NAME@pca:COMPONENTS and "
        "NAME@sae:FILE read a layer in another basis",
    )
    run.add_argument("--samples", type=int, default=1000, help="default: %(default)s")
    run.add_argument("--out", help="run folder to write")
    run.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    run.add_argument(
        "--label", type=int, help="class of every sample; each draws its own if left out"
    )
    run.add_argument("--truncation", type=float, default=1.0, help="ψ; default: %(default)s")
    run.add_argument("--threshold", choices=["information", "quantile"], default="information")
    run.add_argument(
        "--tail", type=float, default=0.005, help="share above the quantile threshold; %(default)s"
    )
    run.add_argument("--min-iou", type=float, default=0.05, help="default: %(default)s")
    run.add_argument("--min-over-chance", type=float, default=0.02, help="default: %(default)s")
    run.add_argument(
        "--min-share",
        type=float,
        default=0.0,
        help="share of all pixels that a concept has to cover to be a label; %(default)s",
    )
    run.add_argument("--fdr", type=float, default=0.05, help="false discovery rate; %(default)s")
    run.add_argument(
        "--grid",
        type=_grid,
        metavar="PIXELS",
        help="mask grid; default: image size, at most 128; native: each layer at its own size",
    )
    run.add_argument(
        "--compat", choices=["gandissect"], help="count and name as the original code does"
    )
    run.add_argument("--coactivation", action="store_true", help="also correlate units by image")
    run.add_argument(
        "--batch", type=int, default=32, help="samples of one forward pass; %(default)s"
    )
    run.add_argument("--device", default="cpu", help="default: %(default)s")
    run.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    run.add_argument(
        "--memory", metavar="SIZE", help="most that may be taken, such as 4GB; takes more passes"
    )
    run.add_argument(
        "--cache",
        metavar="FOLDER",
        help="keep masks there, so that further runs over the same samples segment nothing again; "
        "user: a folder in the user's cache",
    )
    run.add_argument(
        "--dry-run", action="store_true", help="only say what it takes: passes, memory, time, disk"
    )


def _grid(text: str) -> int | str:
    try:
        return text if text == "native" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} was given; expected a number of pixels or native"
        ) from None


def _run(options: argparse.Namespace) -> None:
    if options.samples < 16:
        raise ConfigError(
            f"--samples is {options.samples}; expected at least 16 (a few for each fold); "
            "1000 is a good start"
        )
    if options.out is None and not options.dry_run:
        raise ConfigError(
            "the following arguments are required: --out, the run folder to write; only --dry-run "
            "goes without it"
        )
    from dissect.counting.driver import dissect
    from dissect.counting.planning import plan_run
    from dissect.terminal import describe_plan, describe_run

    models = (options.generator, options.segmenter)
    settings = {
        "layers": [name.strip() for name in options.layers.split(",")],
        "device": options.device,
        "memory": options.memory,
        "n_samples": options.samples,
        "block": options.batch,
    } | {name: getattr(options, name) for name in _SETTINGS}
    if options.dry_run:
        plan = plan_run(*models, **settings)
        print_json(plan.to_json()) if options.json else print(describe_plan(plan))
        return
    run = dissect(*models, out=options.out, resume=options.resume, cache=options.cache, **settings)
    if options.json:
        print_json(run.summary())
        return
    print(describe_run(run))
    print(f"\ndissect show {options.out}\ndissect report {options.out}")
