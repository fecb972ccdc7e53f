"""The command line: thin subcommands, everything heavy imported late.

``--json`` prints one object on stdout; progress and logs go to stderr. Exit status: 0, 2 for a
mistake in what was given (one line on stderr), 130 after Ctrl-C, 1 for a fault of the program.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from dissect.convert_command import add_convert_command
from dissect.effect_commands import add_effect_commands
from dissect.errors import ConfigError, DissectError

_DEMO_SAMPLES = 1000
# Options of `run` that are fields of RunConfig under the same name.
_SETTINGS = (
    "seed", "label", "truncation", "threshold", "tail", "min_iou", "min_over_chance", "fdr", "grid",
    "compat", "coactivation",
)  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, as the rest of the program does."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help lists what it takes\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    # Threads that spin while they wait for each other take many times as long where other programs
    # want the cores too. It has to be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        options.command(options)
        sys.stdout.flush()
    except DissectError as error:
        print(f"dissect: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has seen enough (`dissect show R | head`); nothing may be flushed any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"dissect: {error.strerror or error}{where}; expected a place that can be read and "
            "written; check the path, its permissions and the free space",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(
            "dissect: stopped; what was counted is kept, the same command with --resume goes on",
            file=sys.stderr,
        )
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dissect",
        description="Opens image generators: which unit draws what, with evidence.",
        epilog="GENERATOR is a zoo name, the path of a checkpoint, or package.module:factory.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name: str, command: object, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        return sub

    demo = add("demo", _demo, "the whole way on a trained generator, to a report")
    demo.add_argument("--faces", action="store_true", help="faces, fetched, instead of scenes")
    demo.add_argument("--out", help="run folder (default: runs/demo or runs/faces)")
    demo.add_argument("--samples", type=int, default=_DEMO_SAMPLES, help="default: %(default)s")

    zoo = add("zoo", _zoo, "generators and segmenters at hand; 'zoo get NAME' fetches one")
    zoo.add_argument("action", nargs="?", choices=["list", "get"], default="list")
    zoo.add_argument("name", nargs="?", help="generator to get")
    zoo.add_argument("--from", dest="source", metavar="FILE", help="its file, if fetched elsewhere")

    inspect = add("inspect", _inspect, "spaces, layers and shapes of a generator; one forward pass")
    inspect.add_argument("generator", metavar="GENERATOR")
    inspect.add_argument("--raw", action="store_true", help="only what the file holds, of any kind")

    run = add("run", _run, "dissect a generator into a run folder")
    run.add_argument("generator", metavar="GENERATOR")
    run.add_argument("--segmenter", required=True, help="as zoo lists them; join with +")
    run.add_argument(
        "--layers",
        default="all",
        help="comma-separated names, or all; NAME@rotation:SEED, NAME@pca:COMPONENTS and "
        "NAME@sae:FILE read a layer in another basis",
    )
    run.add_argument("--samples", type=int, default=_DEMO_SAMPLES, help="default: %(default)s")
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
        "--dry-run", action="store_true", help="only say what it takes: passes, memory, time, disk"
    )

    show = add("show", _show, "the table of a run in the terminal")
    show.add_argument("run", metavar="RUN")
    show.add_argument("--layer", help="only this layer")
    show.add_argument("--concept", help="all units against this concept")
    show.add_argument("--csv", action="store_true", help="all rows as CSV")
    show.add_argument("--rows", type=int, default=20, help="most to print (default: %(default)s)")

    report = add("report", _report, "write the report of a run as a page")
    report.add_argument("run", metavar="RUN")
    report.add_argument("--out", help="folder to write (default: RUN/report)")
    add_effect_commands(add)
    add_convert_command(add)
    return parser


def _grid(text: str) -> int | str:
    try:
        return text if text == "native" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} was given; expected a number of pixels or native"
        ) from None


def _print_json(content: object) -> None:
    print(json.dumps(content, ensure_ascii=False))


def _demo(options: argparse.Namespace) -> None:
    from dissect.dissection import dissect
    from dissect.generators import zoo
    from dissect.terminal import describe_run
    from reports import build_report

    generator, segmenter, layer = (
        ("faces-dcgan", "faces", "main.4")
        if options.faces
        else ("scenes-stylegan2", "scenes", "b16.conv1")
    )
    entry = zoo.find_entry(generator)
    if isinstance(entry, zoo.FetchedEntry) and not zoo.is_at_hand(generator):
        print(f"fetching {generator} ({entry.size}, {entry.licence}) …", file=sys.stderr)
        zoo.get(generator)
    out = options.out or ("runs/faces" if options.faces else "runs/demo")
    run = dissect(generator, segmenter, out=out, n_samples=options.samples, resume=True)
    page = build_report(run)
    if options.json:
        _print_json(run.summary() | {"report": str(page)})
        return
    print(describe_run(run))
    print(f"\nopen {page}\n\nthen try")
    print(f"  dissect show {out} --layer {layer}")
    print(
        f"  dissect run {generator} --segmenter {segmenter}+colour --layers {layer} "
        "--samples 500 --out runs/colour"
    )


def _zoo(options: argparse.Namespace) -> None:
    from dissect.generators import zoo
    from segmenters import PREDICTORS, SEGMENTERS

    if options.action == "get":
        if options.name is None:
            raise ConfigError(
                f"zoo get was given no name; expected one of {', '.join(zoo.ENTRIES)}"
            )
        path = zoo.get(options.name, source=options.source)
        _print_json({"path": str(path)}) if options.json else print(path)
        return
    generators = [
        {
            "name": entry.name,
            "title": entry.title,
            "licence": entry.licence,
            "source": entry.source,
            "at_hand": zoo.is_at_hand(entry.name),
        }
        for entry in zoo.ENTRIES.values()
    ]
    if options.json:
        segmenters = [{"name": n, "title": t} for n, t in SEGMENTERS.items()]
        predictors = [{"name": n, "title": t} for n, t in PREDICTORS.items()]
        _print_json({"generators": generators, "segmenters": segmenters, "predictors": predictors})
        return
    print("Generators")
    for entry in generators:
        state = "at hand" if entry["at_hand"] else f"dissect zoo get {entry['name']}"
        print(f"  {entry['name']:<17} {entry['title']} ({entry['licence']}; {state})")
    print("Segmenters")
    for name, title in SEGMENTERS.items():
        print(f"  {name:<17} {title}")
    print("Predictors of attributes")
    for name, title in PREDICTORS.items():
        print(f"  {name:<17} {title}")


def _inspect(options: argparse.Namespace) -> None:
    from dissect.inspection import describe, inspect_file, inspect_generator

    found = (inspect_file if options.raw else inspect_generator)(options.generator)
    _print_json(found) if options.json else print(describe(found))


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
    from dissect.dissection import dissect
    from dissect.planning import plan_run
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
        _print_json(plan.to_json()) if options.json else print(describe_plan(plan))
        return
    run = dissect(*models, out=options.out, resume=options.resume, **settings)
    if options.json:
        _print_json(run.summary())
        return
    print(describe_run(run))
    print(f"\ndissect show {options.out}\ndissect report {options.out}")


def _show(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.terminal import describe_run, format_rows, select_rows

    run = open_run(options.run)
    table = select_rows(run, options.layer, options.concept)
    if options.json:
        # The rows only where somebody chose some: a whole run has hundreds of thousands.
        chosen = options.layer is not None or options.concept is not None
        rows = {"rows": json.loads(table.to_json(orient="records"))} if chosen else {}
        _print_json(run.summary() | rows)
    elif options.csv:
        print(table.to_csv(index=False), end="")
    else:
        print(describe_run(run), format_rows(table, options.rows), sep="\n\n")


def _report(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from reports import build_report

    page = build_report(open_run(options.run), out=options.out)
    _print_json({"report": str(page)}) if options.json else print(page)
