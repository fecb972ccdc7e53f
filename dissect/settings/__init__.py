"""Settings: each field is declared once, with its type, range, meaning and default.

    class BlurSettings(Settings):
        \"\"\"Settings of a blur.\"\"\"

        radius: int = setting("of the blur, in pixels", default=2, at_least=0)

    BlurSettings(radius=-1)  # radius is -1; expected a whole number of at least 0
    BlurSettings(raduis=1)  # raduis is not a setting of BlurSettings; did you mean 'radius'? …
    add_settings(parser, BlurSettings)  # --radius, with its help, default and check

A class of settings is a frozen dataclass. Its declarations give the check, the message, the
``Args`` of its docstring, the options of the command line and the fields of the dashboard's form.
Nothing in here imports torch or numpy, so that ``dissect --help`` answers at once.
"""

from dissect.settings.command_line import add_settings, given_settings
from dissect.settings.declaration import (
    Setting,
    Settings,
    check_names,
    like,
    setting,
    shows_settings,
)

__all__ = [
    "Setting",
    "Settings",
    "add_settings",
    "check_names",
    "given_settings",
    "like",
    "setting",
    "shows_settings",
]
