"""An audit hook: what a process imports, starts, reads and writes outside of where it may.

Hooks of ``sys.addaudithook`` stay until the process ends, so they are for children alone.
"""

import os
import sys
from pathlib import Path

_STARTS = (
    "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn",
    "os.spawn", "pty.spawn", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname",
    "ftplib.connect", "http.client.connect", "urllib.Request", "webbrowser.open",
)  # fmt: skip
_CHANGES = (
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile",
)  # fmt: skip
_LOOKS = ("os.listdir", "os.scandir", "sqlite3.connect")
_SYSTEM = ("/proc", "/sys", "/dev/null", "/dev/urandom", "/usr/share/zoneinfo", "/etc/localtime")


class Watch:
    """Notes events that have no business in a command.

    Args:
        own: Folders that the command may read and write.
        names: Words that no imported module may have in its name.
    """

    def __init__(self, own, names):
        self.found, self._names = [], names
        self._own = tuple(os.path.realpath(place) for place in own)
        root = Path(__file__).resolve().parents[2]
        places = (sys.prefix, sys.base_prefix, root, Path(os.__file__).parent)
        self._code = (*(os.path.realpath(p) for p in places), *_SYSTEM)
        self._busy = False
        sys.addaudithook(self._hear)

    def _hear(self, event, given):
        if self._busy:
            return
        self._busy = True
        try:
            self._judge(event, given)
        finally:
            self._busy = False

    def _judge(self, event, given):
        if event.startswith(_STARTS):
            self.found.append(f"{event} {str(given)[:200]}")
        elif event == "import" and any(name in str(given[0]) for name in self._names):
            self.found.append(f"import {given[0]}")
        elif event == "open":
            path, mode, flags = given
            wrote = any(c in str(mode or "") for c in "wax+") or (
                (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            )
            self._look(event, path, wrote=bool(wrote))
        elif event in _CHANGES:
            for path in (
                given[:2] if event in ("os.rename", "os.link", "shutil.move") else given[:1]
            ):
                self._look(event, path, wrote=True)
        elif event in _LOOKS:
            self._look(event, given[0], wrote=False)

    def _look(self, event, path, *, wrote):
        if isinstance(path, int) or path is None:
            return
        text = os.fsdecode(path).removeprefix("file:").split("?")[0]
        place = os.path.realpath(text)
        allowed = self._own if wrote and place != "/dev/null" else (*self._own, *self._code)
        if not any(place == one or place.startswith(one + os.sep) for one in allowed):
            self.found.append(f"{event} {text} ({'write' if wrote else 'read'})")
