"""How a process is recognised, also after it ended.

A number of a process is given again after it ended. With the time at which the process began, and
the start of the machine from which that is counted, it names one process only.
"""

import subprocess
from pathlib import Path

_PROC = Path("/proc")
_START_FIELD = 19  # of /proc/PID/stat behind the name in parentheses: field 22, proc(5)


def identity(pid: int) -> str | None:
    """What tells a living process from others of its number; None where it ended."""
    if not (_PROC / "self" / "stat").exists():
        return _identity_by_ps(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}:{fields[_START_FIELD]}"


def _identity_by_ps(pid: int) -> str | None:
    done = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607, where it lies differs
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    state, _, began = done.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else began.strip()
