"""Parts of the site that are derived: list of pages, command line, columns of a table, messages."""

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

import messages
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from dissect.cli import build_parser
from dissect.commands import COMMANDS
from dissect.statistics.registry import all_columns

CONTENTS = Path(__file__).with_name("contents.md")
# Bytes that Markdown reads as marks, in texts that are not Markdown.
_MARKS = re.compile(r"([\\`*_{}\[\]<>|$#])")


def plain(text: str) -> str:
    """A text as Markdown that shows it as it is, on one line."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


class CommandPages(SphinxDirective):
    """``{commands}``: every command with its options, from the parser that reads them."""

    def run(self) -> list[nodes.Node]:
        parsers = _subparsers(build_parser(complete=True))
        lines: list[str] = []
        for command in COMMANDS:
            lines += _section(parsers[command.name], list(command.examples), level=2)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def _section(parser: argparse.ArgumentParser, examples: list[str], *, level: int) -> list[str]:
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    lines = [f"{'#' * level} {parser.prog}", "", plain(parser.description or ""), ""]
    lines += ["```text", usage, "```", ""]
    if examples:
        lines += ["Examples:", "", "```bash", *examples, "```", ""]
    shown = [one for one in parser._actions if one.help not in (None, argparse.SUPPRESS)]
    rows = [_row(parser, one) for one in shown if not isinstance(one, argparse._HelpAction)]
    if rows:
        lines += ["| | meaning |", "|---|---|", *rows, ""]
    for sub in _subparsers(parser).values():
        lines += _section(sub, [], level=level + 1)
    return lines


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    formatter = parser._get_formatter()
    name = formatter._format_action_invocation(action).replace("|", "\\|")
    return f"| `{name}` | {plain(formatter._expand_help(action))} |"


class ColumnPages(SphinxDirective):
    """``{columns}``: the columns of a run's table, as they are declared."""

    def run(self) -> list[nodes.Node]:
        lines = ["| column | title | of | meaning |", "|---|---|---|---|"]
        for one in all_columns():
            if one.until is None:
                words = f" ({', '.join(f'{n} {w}' for n, w in enumerate(one.words))})"
                meaning = plain(one.meaning + (words if one.words else ""))
                lines.append(f"| `{one.name}` | {plain(one.title)} | {one.of.value} | {meaning} |")
        return self.parse_text_to_nodes("\n".join(lines))


class MessagePages(SphinxDirective):
    """``{messages}``: the message of every mistake, by kind, with its anchor."""

    def run(self) -> list[nodes.Node]:
        found = messages.read_messages()
        for one in messages.files(found):
            self.env.note_dependency(one)
        sections: list[nodes.Node] = []
        for kind in sorted({one.kind for one in found}):
            about = f"[Causes and remedies](errors.md#{kind.lower()})"
            section = nodes.section("", nodes.title(text=kind), ids=[f"messages-{kind.lower()}"])
            section += self.parse_text_to_nodes(about)
            section += message_list([one for one in found if one.kind == kind])
            sections.append(section)
        return sections


def message_list(found: list[messages.Message]) -> nodes.definition_list:
    """A list of messages: each with its anchor, its cause, and what it says to do."""
    shown = nodes.definition_list()
    for one in found:
        cause, *rest = one.parts
        item = nodes.definition_list_item("", nodes.term(text=cause, ids=[one.anchor]))
        item += nodes.definition("", *[nodes.paragraph(text=part) for part in rest])
        shown += item
    return shown


def _add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give the first page the list of pages, which a reader of README.md would see as code."""
    if docname == app.config.root_doc:
        text = CONTENTS.read_text()
        pages = [f"docs/{path.stem}" for path in sorted(CONTENTS.parents[1].glob("*.md"))]
        others = [page for page in pages if f"{page}\n" not in text]
        if others:
            text += "\n".join(
                ["", "```{toctree}", ":hidden:", ":caption: More", "", *others, "```"]
            )
        source[0] += "\n" + text


def _add_index(app: Sphinx, exception: Exception | None) -> None:
    """Open the first page under the address of the folder too."""
    if exception is None and app.builder.format == "html":
        first = Path(app.outdir) / f"{app.config.root_doc}.html"
        shutil.copyfile(first, first.with_name("index.html"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Add what is derived to the site."""
    app.add_directive("commands", CommandPages)
    app.add_directive("columns", ColumnPages)
    app.add_directive("messages", MessagePages)
    app.connect("source-read", _add_contents)
    app.connect("build-finished", _add_index)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
