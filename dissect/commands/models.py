"""The commands ``zoo``, ``inspect`` and ``convert``: generators and their files.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse

from dissect.commands.command import Command, WeightsOptions, find_generator, print_json
from dissect.errors import ConfigError
from dissect.settings import add_settings


def _add_zoo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["list", "get"], default="list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="generator to get")
    parser.add_argument(
        "--from", dest="source", metavar="FILE", help="its file, if it was fetched by other means"
    )


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "generator", metavar="GENERATOR", help="zoo name, path, or package.module:factory"
    )
    parser.add_argument(
        "--raw", action="store_true", help="list what the file holds, whatever it is"
    )
    add_settings(parser, WeightsOptions)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a checkpoint in any container")
    parser.add_argument("out", metavar="OUT.safetensors", help="file to write")
    add_settings(parser, WeightsOptions)


def _zoo(options: argparse.Namespace) -> None:
    from dissect.generators import zoo
    from segmenters import MODIFIERS, PREDICTORS, PREFIXES, SEGMENTERS

    if options.action == "get":
        if options.name is None:
            raise ConfigError(
                f"zoo get was given no name; expected one of {', '.join(zoo.ENTRIES)}"
            )
        path = zoo.get(options.name, source=options.source)
        print_json({"path": str(path)}) if options.json else print(path)
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
    titles = SEGMENTERS | {f"{n}:TARGET": title for n, (_, title) in PREFIXES.items()}
    titles |= {f"…+{name}": title for name, title in MODIFIERS.items()}
    if options.json:
        segmenters = [{"name": n, "title": t} for n, t in titles.items()]
        predictors = [{"name": n, "title": t} for n, t in PREDICTORS.items()]
        print_json({"generators": generators, "segmenters": segmenters, "predictors": predictors})
        return
    print("Generators")
    for entry in generators:
        state = "at hand" if entry["at_hand"] else f"dissect zoo get {entry['name']}"
        print(f"  {entry['name']:<19} {entry['title']} ({entry['licence']}; {state})")
    print("Segmenters")
    for name, title in titles.items():
        print(f"  {name:<19} {title}")
    print("Predictors of attributes")
    for name, title in PREDICTORS.items():
        print(f"  {name:<19} {title}")


def _inspect(options: argparse.Namespace) -> None:
    from dissect.inspection import describe, inspect_file, inspect_generator

    if options.raw:
        found = inspect_file(options.generator)
    else:
        found = inspect_generator(find_generator(options))
    print_json(found) if options.json else print(describe(found))


def _convert(options: argparse.Namespace) -> None:
    from dissect.generators.converting import convert_file

    generator = convert_file(options.file, options.out, weights=options.weights)
    if options.json:
        about = {"family": generator.family, "fingerprint": generator.fingerprint}
        print_json({"file": options.out} | about)
        return
    print(f"{options.out}: {generator.family}, sha256 of weights {generator.fingerprint}")


COMMANDS = (
    Command(
        "zoo",
        "list generators and segmenters; 'zoo get NAME' fetches a generator",
        _add_zoo,
        _zoo,
        examples=("dissect zoo", "dissect zoo get faces-dcgan"),
    ),
    Command(
        "inspect",
        "spaces, layers and shapes of a generator; one forward pass",
        _add_inspect,
        _inspect,
        examples=("dissect inspect scenes-stylegan2", "dissect inspect network.pkl --raw"),
    ),
    Command(
        "convert",
        "write a generator's file as safetensors, which holds no code",
        _add_convert,
        _convert,
        examples=("dissect convert network.pkl network.safetensors",),
    ),
)
