"""The command ``convert``. Like ``dissect.cli``, it imports what is heavy inside its functions."""

import argparse
import json
import sys
from collections.abc import Callable


def add_convert_command(add: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """Add the subcommand, with ``add(name, command, summary)``."""
    command = add(
        "convert", _convert, "write a generator's file as safetensors, which holds no code"
    )
    command.add_argument("file", metavar="FILE", help="a checkpoint of any container")
    command.add_argument("out", metavar="OUT.safetensors")


def _convert(options: argparse.Namespace) -> None:
    from dissect.generators.converting import convert_file

    generator = convert_file(options.file, options.out)
    if options.json:
        found = {
            "file": options.out,
            "family": generator.family,
            "fingerprint": generator.fingerprint,
        }
        sys.stdout.write(json.dumps(found) + "\n")
        return
    print(f"{options.out}: {generator.family}, sha256 of weights {generator.fingerprint}")
