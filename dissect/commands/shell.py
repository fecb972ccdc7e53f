"""The commands ``completion`` and ``help``.

shtab generates the shell script from the argument parser.
"""

import argparse
import sys

from dissect.commands.command import Command
from dissect.errors import ConfigError

_SHELLS = ("bash", "zsh")
# Arguments that are paths: the shell completes files and folders for them.
_PATHS = {"run", "runs", "recipe", "file", "out", "source", "cache", "models", "data"}


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=_SHELLS, metavar="|".join(_SHELLS), help="your shell")


def _completion(options: argparse.Namespace) -> None:
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise ConfigError(
            "completion needs shtab, which is not installed; pip install shtab"
        ) from error
    parser = options.build_parser(complete=True)
    for action in _actions(parser):
        choices = getattr(getattr(action, "setting", None), "choices", ())
        if choices:
            action.choices = choices
        elif action.dest in _PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    sys.stdout.write(shtab.complete(parser, shell=options.shell) + "\n")


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                found += _actions(sub)
    return found


def _add_help(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("about", nargs="?", metavar="COMMAND", help="command to explain")


def _help(options: argparse.Namespace) -> None:
    if options.about is None:
        options.build_parser().print_help()
    else:
        options.build_parser().parse_args([options.about, "--help"])


COMMANDS = (
    Command(
        "completion",
        "print a script that completes commands and options in your shell",
        _add_completion,
        _completion,
        json=False,
        examples=(
            'eval "$(dissect completion bash)"',
            'dissect completion zsh > "${fpath[1]}/_dissect"',
        ),
    ),
    Command("help", "explain a command", _add_help, _help, json=False),
)
