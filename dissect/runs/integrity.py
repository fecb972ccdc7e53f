"""Checks that a run folder still holds exactly the files that were written."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from dissect.errors import RunError
from dissect.runs import schema
from segmenters.received import inside

_SPARSE = 200  # limit of a large file's size over its bytes on disk
_LARGE = 1 << 30


def check_files(run: Path, files: Mapping[str, Mapping[str, object]]) -> None:
    """Compare every file with its recorded size and, except for images, with its digest.

    Args:
        run: The folder.
        files: Name → ``bytes`` and ``sha256``, as in run.json.

    Raises:
        RunError: the first file that is missing or differs, that is outside of the folder, or
            that holds counts or scores and is not listed.
    """
    listed = {}
    for name in files:
        try:
            listed[name] = inside(run, name)
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise RunError(
                f"{run / schema.RUN_FILE} is damaged ({error}); make the run again"
            ) from error
    for name in (schema.TABLE, f"{schema.ARRAYS}/zarr.json", *_stored(run)):
        if name not in files:
            raise RunError(
                f"{run} is damaged: {name} is not among the files that {schema.RUN_FILE} lists, so "
                "nothing says that it is whole; make the run again"
            )
    for name, expected in files.items():
        file = listed[name]
        if not file.is_file():
            raise RunError(f"{run} is damaged: {name} is missing; make the run again")
        found = file.stat()
        if found.st_size != expected["bytes"]:
            raise RunError(
                f"{run} is damaged: {name} has {found.st_size} bytes; expected "
                f"{expected['bytes']}; make the run again"
            )
        on_disk = getattr(found, "st_blocks", found.st_size) * 512
        if found.st_size > max(_LARGE, _SPARSE * on_disk):
            raise RunError(
                f"{run} is damaged: {name} claims {found.st_size:,} bytes and takes "
                f"{on_disk:,} on disk; make the run again"
            )
        if not name.startswith(schema.IMAGES) and schema.file_digest(file) != expected["sha256"]:
            raise RunError(
                f"{run} is damaged: {name} was changed after it was written; make the run again"
            )


def _stored(run: Path) -> Iterator[str]:
    """The existing files of the arrays. Links to folders are not followed."""
    root = os.fspath(run / schema.ARRAYS)
    for folder, folders, names in os.walk(root):
        place = schema.ARRAYS + folder[len(root) :].replace(os.sep, "/")
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        yield from (f"{place}/{name}" for name in (*names, *links))
