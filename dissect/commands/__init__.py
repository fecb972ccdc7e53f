"""The subcommands, one module for those that belong together."""

from dissect.commands.compare import add_compare
from dissect.commands.demo import add_demo
from dissect.commands.effects import add_effects
from dissect.commands.export import add_export
from dissect.commands.models import add_models
from dissect.commands.paint import add_paint
from dissect.commands.repair import add_repair
from dissect.commands.report import add_report
from dissect.commands.run import add_run
from dissect.commands.serve import add_serve
from dissect.commands.show import add_show
from dissect.commands.trust import add_trust

# In the order in which --help lists them.
ADDERS = (
    add_demo,
    add_models,
    add_run,
    add_trust,
    add_show,
    add_report,
    add_compare,
    add_export,
    add_serve,
    add_effects,
    add_repair,
    add_paint,
)

__all__ = ["ADDERS"]
