"""The commands and code that README and the docs show, as a reader would type them.

A block is run by ``tests/test_documents.py`` unless a comment before it says otherwise:

    <!-- not run: why -->
    <!-- run by tests/test_x.py -->
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("dissect/weights/*.md"),
        *ROOT.glob("segmenters/weights/*.md"),
    ]
)
SHELL = {"", "bash", "sh", "console"}
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^>]*?) -->\n+)?^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```$", re.M | re.S
)
_INDENTED = re.compile(r"(?:^    \S[^\n]*\n)+", re.M)
_INLINE = re.compile(r"`(dissect [^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """Some code of a page.

    Attributes:
        page: Path from the repository's root.
        line: Where it begins.
        language: As it is named behind the fence; "" for none.
        text: The code.
        mark: What a comment before it says; "" without one.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether the tests of documents run it, not others or none."""
        return not self.mark.startswith(("not run: ", "run by "))

    @property
    def lines(self) -> list[str]:
        """Lines of a shell, those that go on behind a backslash joined; without a prompt."""
        whole = self.text.replace("\\\n", " ").splitlines()
        return [line.strip().removeprefix("$ ") for line in whole if line.strip()]

    @property
    def commands(self) -> list[list[str]]:
        """The arguments of each ``dissect`` in it; of a console only what stands after a prompt."""
        if self.language not in SHELL:
            return []
        found = [line for line in self.lines if re.match(r"dissect( |$)", line)]
        return [arguments(line) for line in found]


def arguments(line: str) -> list[str]:
    """What a shell gives the program of a line, up to a redirection or pipe."""
    words = shlex.split(line, comments=True)[1:]
    ends = [at for at, word in enumerate(words) if word in {">", "|", ";"}]
    return words[: min(ends, default=len(words))]


def blocks(page: str) -> list[Block]:
    """The blocks of code of a page, in order."""
    text = (ROOT / page).read_text()
    found = [
        (m.start("language"), m["language"].strip(), m["text"], m["mark"] or "")
        for m in _BLOCK.finditer(text)
    ]
    outside = _BLOCK.sub(lambda m: re.sub(r"[^\n]", "-", m[0]), text)
    found += [(m.start(), "", m[0], "") for m in _INDENTED.finditer(outside)]
    return [
        Block(page, text.count("\n", 0, start) + 1, language, code, mark)
        for start, language, code, mark in sorted(found)
    ]


def inline_commands(page: str) -> list[str]:
    """Commands inside sentences: ``dissect run --dry-run``."""
    text = _BLOCK.sub("", (ROOT / page).read_text())
    return [" ".join(one.split()) for one in _INLINE.findall(text)]
