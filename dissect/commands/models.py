"""The commands ``zoo``, ``inspect`` and ``convert``: generators and their files.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
from collections.abc import Mapping

from dissect.commands.command import (
    Command,
    PromptsOptions,
    WeightsOptions,
    find_generator,
    print_json,
)
from dissect.errors import ConfigError
from dissect.settings import add_settings
from segmenters.nearest import did_you_mean


def _add_zoo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["list", "get", "card"], default="list")
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="what to get, or whose card to read",
    )
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
    add_settings(parser, PromptsOptions)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a checkpoint in any container")
    parser.add_argument("out", metavar="OUT.safetensors", help="file to write")
    add_settings(parser, WeightsOptions)


def _zoo(options: argparse.Namespace) -> None:
    from dissect.generators import zoo
    from segmenters.predictors import weights

    if options.action == "list":
        _list_zoo(options)
        return
    known = [*zoo.ENTRIES, *weights.ENTRIES]
    if options.name is None:
        raise ConfigError(
            f"zoo {options.action} was given no name; expected one of {', '.join(known)}"
        )
    if options.action == "card":
        text = zoo.find_card(options.name).read_text(encoding="utf-8")
        print_json({"name": options.name, "card": text}) if options.json else print(text, end="")
        return
    if options.name in weights.ENTRIES:
        path = weights.get(options.name, source=options.source)
    elif options.name in zoo.ENTRIES:
        path = zoo.get(options.name, source=options.source)
    else:
        raise ConfigError(
            f"{options.name!r} is not in the zoo; {did_you_mean(options.name, known)}it has "
            f"{', '.join(known)}; dissect zoo lists them"
        )
    print_json({"path": str(path)}) if options.json else print(path)


def _list_zoo(options: argparse.Namespace) -> None:
    from dissect.generators import zoo
    from segmenters import FEATURES, MODIFIERS, OWN_PREDICTORS, PREDICTORS, PREFIXES, SEGMENTERS
    from segmenters.predictors import weights

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

    def describe(name: str, title: str) -> dict[str, object]:
        if name not in weights.ENTRIES:
            return {"name": name, "title": title, "at_hand": True}
        entry = weights.ENTRIES[name]
        about: dict[str, object] = {"licence": entry.licence, "source": entry.source}
        return {"name": name, "title": title, "at_hand": weights.is_at_hand(name)} | about

    predictors = [describe(name, title) for name, (_, title) in PREDICTORS.items()]
    features = [describe(name, title) for name, title in FEATURES.items()]
    if options.json:
        segmenters = [{"name": n, "title": t} for n, t in titles.items()]
        found = {"generators": generators, "segmenters": segmenters}
        own = [{"form": form, "title": title} for form, title in OWN_PREDICTORS.items()]
        print_json(found | {"predictors": predictors, "own": own, "features": features})
        return
    print("Generators")
    for entry in generators:
        _print_entry(entry)
    print("Segmenters")
    for name, title in titles.items():
        print(f"  {name:<24} {title}")
    print("Predictors of attributes")
    for entry in predictors:
        _print_entry(entry)
    for form, title in OWN_PREDICTORS.items():
        print(f"  {form:<24} {title}")
    print("Features")
    for entry in features:
        _print_entry(entry)


def _print_entry(entry: Mapping[str, object]) -> None:
    """One line of the list: the title, the licence, and whether it is available locally."""
    state = "at hand" if entry["at_hand"] else f"dissect zoo get {entry['name']}"
    about = f" ({entry['licence']}; {state})" if "licence" in entry else ""
    print(f"  {entry['name']:<24} {entry['title']}{about}")


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
        "list generators, segmenters and predictors; get NAME fetches one, card NAME describes it",
        _add_zoo,
        _zoo,
        examples=(
            "dissect zoo",
            "dissect zoo get faces-dcgan",
            "dissect zoo card identity",
        ),
    ),
    Command(
        "inspect",
        "spaces, layers and shapes of a generator; one forward pass",
        _add_inspect,
        _inspect,
        examples=(
            "dissect inspect scenes-stylegan2",
            "dissect inspect network.pkl --raw",
            "dissect inspect stable-diffusion --prompts prompts.txt",
        ),
    ),
    Command(
        "convert",
        "write a generator's file as safetensors, which holds no code",
        _add_convert,
        _convert,
        examples=("dissect convert network.pkl network.safetensors",),
    ),
)
