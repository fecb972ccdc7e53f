"""Parses and formats amounts of memory and disk: 4GB, 500 MB, 1.5GiB."""

import re

from dissect.errors import ConfigError

_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    _UNITS |= {_letter: 1000**_power, f"{_letter}b": 1000**_power, f"{_letter}ib": 1024**_power}


def parse_size(text: str | int) -> int:
    """Bytes of a size; a number without a unit is bytes.

    Raises:
        ConfigError: not a size, or not above 0.

    Example:
        >>> parse_size("1.5GiB")
        1610612736
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", str(text).lower())
    if found is None or found[2] not in _UNITS or float(found[1]) * _UNITS[found[2]] < 1:
        raise ConfigError(
            f"{text!r} is not an amount of memory; expected a number and a unit such as 4GB, 500MB "
            "or 1.5GiB"
        )
    return int(float(found[1]) * _UNITS[found[2]])


def format_size(n_bytes: float) -> str:
    """Format bytes in the decimal unit that leaves one to three digits before the point."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while n_bytes >= 999.5 and len(units) > 1:
        n_bytes /= 1000
        units.pop(0)
    digits = 1 if n_bytes < 9.95 and units[0] != "bytes" else 0
    return f"{n_bytes:.{digits}f} {units[0]}"
