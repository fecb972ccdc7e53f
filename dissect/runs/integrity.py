"""Whether a run folder still holds what was written into it."""

from pathlib import Path

from dissect.errors import RunError
from dissect.runs import schema


def check_files(run: Path, files: dict[str, dict]) -> None:
    """Compare every file with the size written down for it and, but for images, with the digest.

    Args:
        run: The folder.
        files: Name → ``bytes`` and ``sha256``, as in run.json.

    Raises:
        RunError: the first file that is missing or differs.
    """
    for name, expected in files.items():
        file = run / name
        if not file.is_file():
            raise RunError(f"{run} is damaged: {name} is missing; make the run again")
        if file.stat().st_size != expected["bytes"]:
            raise RunError(
                f"{run} is damaged: {name} has {file.stat().st_size} bytes; expected "
                f"{expected['bytes']}; make the run again"
            )
        if not name.startswith(schema.IMAGES) and schema.file_digest(file) != expected["sha256"]:
            raise RunError(
                f"{run} is damaged: {name} was changed after it was written; make the run again"
            )
