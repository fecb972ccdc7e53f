"""The style sheet and the scripts of a report, each joined from its parts."""

from importlib import resources

_SCRIPTS = ("data.js", "parts.js", "charts.js", "pages.js", "main.js")


def style_text(*, notes: bool = False) -> str:
    """The style sheet; ``notes`` adds the part for notes."""
    folder = resources.files("reports").joinpath("static")
    names = ["report.css", *["notes.css"] * notes]
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def script_text(*, notes: bool = False) -> str:
    """All scripts as one; ``notes`` adds the part for notes."""
    folder = resources.files("reports").joinpath("static", "js")
    *first, last = _SCRIPTS  # the last one shows the first page
    names = [*first, *["notes.js"] * notes, last]
    parts = [folder.joinpath(name).read_text(encoding="utf-8") for name in names]
    # One directive is enough; in the middle of a file it has no effect.
    bodies = [part.replace('"use strict";\n', "", 1) for part in parts]
    return '"use strict";\n' + "\n".join(bodies)
