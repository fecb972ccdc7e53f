"""Names of effects, which are also the names of their folders."""

import re

from dissect.errors import SettingError

_NAME = re.compile(r"[\w@+-][\w@+.-]{0,119}")


def default_name(*parts: object) -> str:
    """A folder's name from words of any kind."""
    words = [re.sub(r"[^\w@+.-]+", "_", str(part)) for part in parts]
    return "-".join(words).lstrip(".")[:120]


def is_name(name: str) -> bool:
    """Whether a folder of this name can hold an effect."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Check that a name is a plain folder name.

    Raises:
        ConfigError: another name.
    """
    if not is_name(name):
        raise SettingError(
            "name",
            f"is {name!r}; expected letters, digits and any of _ @ + . -, no dot in front, at "
            "most 120 of them",
        )
    return name
