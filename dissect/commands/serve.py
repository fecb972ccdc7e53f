"""The command ``serve``: explore runs in a browser.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
import os
import sys

from dissect.commands.command import Command, print_json
from dissect.errors import ConfigError
from dissect.settings import Settings as DeclaredSettings
from dissect.settings import add_settings, given_settings, setting

TOKEN_VARIABLE = "DISSECT_TOKEN"  # noqa: S105 - the name of a variable
_LONGEST_TOKEN = 4096


class TokenOptions(DeclaredSettings):
    """The source of the token for browsers."""

    token_file: str | None = setting(
        "file with the token that browsers have to send, at least 16 characters; or the "
        f"environment variable {TOKEN_VARIABLE} holds it",
        default=None, metavar="FILE",
    )  # fmt: skip


def _add_options(parser: argparse.ArgumentParser) -> None:
    from dashboard.settings import Settings

    parser.add_argument("runs", metavar="RUNS", help="a folder of runs, or one run")
    add_settings(parser, Settings, "host", "port")
    add_settings(parser, TokenOptions)
    # No longer an option: everyone on the machine can read the arguments of a process.
    parser.add_argument("--token", help=argparse.SUPPRESS)
    add_settings(parser, Settings, "behind_proxy", "models", "words")


def _serve(options: argparse.Namespace) -> None:
    try:
        from dashboard import Settings, serve
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the dashboard needs {error.name}, which is not installed; expected the extra "
            "'dashboard'; pip install 'gan-dissection[dashboard]'"
        ) from error

    def started(url: str) -> None:
        print_json({"url": url}) if options.json else print(f"{url}  (Ctrl-C stops)")
        sys.stdout.flush()

    settings = given_settings(options, Settings)
    settings["token"] = _token(options)
    serve(options.runs, Settings(**settings), started=started)


def _token(options: argparse.Namespace) -> str | None:
    """The token from a file or the environment; child processes do not inherit it."""
    given = os.environ.pop(TOKEN_VARIABLE, None) or None
    if options.token is not None:
        raise ConfigError(
            "a token on the command line can be read by everyone on this machine; expected "
            f"--token-file FILE, or the environment variable {TOKEN_VARIABLE}"
        )
    if options.token_file is None:
        return given
    with open(options.token_file, encoding="utf-8", errors="replace") as file:
        return file.read(_LONGEST_TOKEN).strip()


COMMANDS = (
    Command(
        "serve",
        "explore runs in a browser",
        _add_options,
        _serve,
        packages=("reports", "dashboard"),
        examples=("dissect serve runs/",),
    ),
)
