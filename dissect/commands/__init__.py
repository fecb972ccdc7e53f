"""The subcommands; related ones share a module."""

from dissect.commands import (
    blind,
    compare,
    demo,
    drag,
    directions,
    disentangle,
    export,
    invert,
    models,
    paint,
    report,
    run,
    serve,
    shell,
    show,
    studies,
    text,
    trust,
)
from dissect.commands.command import Command

# In the order of --help.
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
    *studies.COMMANDS,
    *directions.COMMANDS,
    *disentangle.COMMANDS,
    *paint.COMMANDS,
    *invert.COMMANDS,
    *drag.COMMANDS,
    *text.COMMANDS,
    *blind.COMMANDS,
    *shell.COMMANDS,
)

__all__ = ["COMMANDS", "Command"]
