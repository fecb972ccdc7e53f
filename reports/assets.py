"""The style sheet and the scripts of a report, each put together from its parts."""

from importlib import resources

_SCRIPTS = ("data.js", "parts.js", "charts.js", "pages.js", "main.js")


def style_text(*, notes: bool = False) -> str:
    """The style sheet; with what notes need if there are some."""
    folder = resources.files("reports").joinpath("static")
    names = ["report.css", *["notes.css"] * notes]
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def script_text(*, notes: bool = False) -> str:
    """All scripts as one."""
    folder = resources.files("reports").joinpath("static", "js")
    *first, last = _SCRIPTS  # the last one shows the first page
    names = [*first, *["notes.js"] * notes, last]
    parts = [folder.joinpath(name).read_text(encoding="utf-8") for name in names]
    # One directive is enough; in the middle of a file it says nothing.
    bodies = [part.replace('"use strict";\n', "", 1) for part in parts]
    return '"use strict";\n' + "\n".join(bodies)
