"""Identity of a process, which stays unique after the process ends.

The system reuses process numbers. The number, the start time of the process, and the boot of the
machine that this time refers to identify one process.
"""

import subprocess
from pathlib import Path

_PROC = Path("/proc")
_START_FIELD = 19  # index in /proc/PID/stat after the name in parentheses: field 22, proc(5)


def identity(pid: int) -> str | None:
    """Identity of a living process, beyond its number; None if it has ended."""
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
