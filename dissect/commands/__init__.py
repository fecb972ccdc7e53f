"""The subcommands, one module for those that belong together."""

from dissect.commands import (
    compare,
    demo,
    effects,
    export,
    models,
    paint,
    repair,
    report,
    run,
    serve,
    shell,
    show,
    trust,
)
from dissect.commands.command import Command

# In the order in which --help lists them.
COMMANDS: tuple[Command, ...] = (
    *demo.COMMANDS,
    *models.COMMANDS,
    *run.COMMANDS,
    *trust.COMMANDS,
    *show.COMMANDS,
    *report.COMMANDS,
    *compare.COMMANDS,
    *export.COMMANDS,
    *serve.COMMANDS,
    *effects.COMMANDS,
    *repair.COMMANDS,
    *paint.COMMANDS,
    *shell.COMMANDS,
)

__all__ = ["COMMANDS", "Command"]
