"""Tags of runs, in ``RUNS/.tags.json``: the id of a run → its tags."""

import json
import re
import threading
from pathlib import Path

from dissect.errors import ConfigError, RunError
from dissect.runs.replacing import replace_file

_FILE = ".tags.json"
_TAG = re.compile(r"[\w][\w .+-]{0,29}")
_MOST = 12


class Tags:
    """The tags of a folder of runs. Threads may share it.

    Args:
        folder: Folder of the runs.
    """

    def __init__(self, folder: str | Path) -> None:
        self._file = Path(folder) / _FILE
        self._lock = threading.Lock()

    def all(self) -> dict[str, list[str]]:
        """The id of a run → its tags. Empty if the file is damaged."""
        try:
            found = json.loads(self._file.read_text())
            return {str(run): [str(tag) for tag in tags] for run, tags in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def put(self, run: str, tags: object) -> list[str]:
        """Replace the tags of a run; returns its new tags.

        Raises:
            ConfigError: too many tags, or an invalid one.
            RunError: the file is damaged, or cannot be written.
        """
        given = tags if isinstance(tags, list) else [tags]
        plain: dict[str, None] = {}
        for tag in given:
            name = tag.strip() if isinstance(tag, str) else ""
            if not _TAG.fullmatch(name):
                raise ConfigError(
                    f"a tag is {(name or str(tag))[:40]!r}; expected at most 30 letters, digits, "
                    "spaces and any of . + - _"
                )
            plain[name] = None
        kept = list(plain)
        if len(kept) > _MOST:
            raise ConfigError(f"{len(kept)} tags are given; expected at most {_MOST}")
        with self._lock:
            known = self.all()
            if not known and self._file.exists() and self._file.read_text().strip() not in "{}":
                raise RunError(
                    f"{_FILE} is damaged and was left as it is; expected JSON; mend or delete it"
                )
            known[run] = kept
            filled = {name: tags for name, tags in sorted(known.items()) if tags}
            try:
                replace_file(self._file, json.dumps(filled, indent=1).encode())
            except OSError as error:
                raise RunError(
                    f"tags cannot be written ({error.strerror or error}); expected free space and "
                    "the right to write"
                ) from error
        return kept
