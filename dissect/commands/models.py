"""The commands ``zoo``, ``inspect`` and ``convert``: generators and their files.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse

from dissect.commands.adding import Add, print_json
from dissect.errors import ConfigError


def add_models(add: Add) -> None:
    """Add the subcommands, with ``add(name, command, summary)``."""
    zoo = add("zoo", _zoo, "generators and segmenters at hand; 'zoo get NAME' fetches one")
    zoo.add_argument("action", nargs="?", choices=["list", "get"], default="list")
    zoo.add_argument("name", nargs="?", help="generator to get")
    zoo.add_argument("--from", dest="source", metavar="FILE", help="its file, if fetched elsewhere")

    inspect = add("inspect", _inspect, "spaces, layers and shapes of a generator; one forward pass")
    inspect.add_argument("generator", metavar="GENERATOR")
    inspect.add_argument("--raw", action="store_true", help="only what the file holds, of any kind")

    command = add(
        "convert", _convert, "write a generator's file as safetensors, which holds no code"
    )
    command.add_argument("file", metavar="FILE", help="a checkpoint of any container")
    command.add_argument("out", metavar="OUT.safetensors")


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

    found = (inspect_file if options.raw else inspect_generator)(options.generator)
    print_json(found) if options.json else print(describe(found))


def _convert(options: argparse.Namespace) -> None:
    from dissect.generators.converting import convert_file

    generator = convert_file(options.file, options.out)
    if options.json:
        about = {"family": generator.family, "fingerprint": generator.fingerprint}
        print_json({"file": options.out} | about)
        return
    print(f"{options.out}: {generator.family}, sha256 of weights {generator.fingerprint}")
