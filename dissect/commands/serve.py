"""The command ``serve``: runs in a browser.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse
import os
import sys
from pathlib import Path

from dissect.commands.adding import Add, print_json

TOKEN_VARIABLE = "DISSECT_TOKEN"  # noqa: S105 - the name of a variable
_LONGEST_TOKEN = 4096


def add_serve(add: Add) -> None:
    """Add the subcommand, with ``add(name, command, summary)``."""
    serve = add("serve", _serve, "explore runs in a browser")
    serve.add_argument("runs", metavar="RUNS", help="a folder of runs, or one run")
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8050, help="default: %(default)s; 0: a free one")
    serve.add_argument(
        "--token-file", metavar="FILE",
        help="holds the token that browsers have to show, at least 16 characters; or the "
        f"environment variable {TOKEN_VARIABLE} holds it",
    )  # fmt: skip
    # Not an option any more: everyone on the machine can read the arguments of a process.
    serve.add_argument("--token", help=argparse.SUPPRESS)
    serve.add_argument(
        "--behind-proxy", action="store_true", help="a proxy in front decides who may come"
    )
    serve.add_argument(
        "--models", metavar="FOLDER", help="runs may be started from the checkpoints in it"
    )


def _serve(options: argparse.Namespace) -> None:
    from dissect.errors import ConfigError

    try:
        from dashboard import Settings, serve
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the dashboard needs {error.name}, which is not installed; expected the extra "
            "'dashboard'; pip install 'gan-dissection[dashboard]'"
        ) from error

    settings = Settings(
        host=options.host,
        port=options.port,
        token=_token(options),
        behind_proxy=options.behind_proxy,
        models=None if options.models is None else Path(options.models),
    )

    def started(url: str) -> None:
        print_json({"url": url}) if options.json else print(f"{url}  (Ctrl-C stops)")
        sys.stdout.flush()

    serve(options.runs, settings, started=started)


def _token(options: argparse.Namespace) -> str | None:
    """The token from a file or the environment; what this process starts does not inherit it."""
    from dissect.errors import ConfigError

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
