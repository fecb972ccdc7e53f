"""The messages of mistakes, read from the source code: text, kind, anchor on the site.

Every mistake is raised with one line of the form "given; expected; what to do". The lines stand
where they are raised. This module finds them there, so that the page needs no second list.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("segmenters", "dissect", "reports", "dashboard")
_BASE = "DissectError"
# An exception inside the readers of files; the loader puts the name of the file before its text.
_OF_A_FILE = {"Refusal": ("CheckpointError", "dissect/generators/")}
_FEWEST_WORDS = 2  # below: a text that only passes another one on
_GAP = "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class Message:
    """One message, as it stands in the source code.

    Attributes:
        kind: Name of the exception.
        module: Path of its module from the repository's root.
        pieces: Its text, cut at what is only known when it is raised.
        gaps: What stands between: ``‹path›``, or ``…`` for what has no name; one fewer.
        anchor: Its address on the page of messages; set by ``read_messages``.
    """

    kind: str
    module: str
    pieces: tuple[str, ...]
    gaps: tuple[str, ...]
    anchor: str = ""

    @property
    def text(self) -> str:
        """The whole line."""
        return _joined(self.pieces, self.gaps)

    @property
    def parts(self) -> list[str]:
        """What was given, what was expected, what to do: the line cut at its semicolons."""
        return self.text.split("; ")

    def matches(self, line: str) -> bool:
        """Whether a line that was printed may be this message."""
        pattern = ".*".join(map(re.escape, self.pieces))
        return re.fullmatch(pattern, line, re.S) is not None


def read_messages(root: Path = ROOT) -> list[Message]:
    """The messages of the packages in ``root``, by module; each text of a module once."""
    trees = {
        path.relative_to(root).as_posix(): ast.parse(path.read_text())
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }
    kinds = _kinds(trees)
    constants = {path: _constants(tree) for path, tree in trees.items()}
    shared = {name: text for found in constants.values() for name, text in found.items()}
    messages: dict[tuple[str, str], Message] = {}
    anchors: set[str] = set()
    for path, tree in trees.items():
        reader = _Reader(path, kinds, shared | constants[path])
        for found in reader.messages(tree):
            if (path, found.text) not in messages:
                anchor = _free(_anchor(found), anchors)
                anchors.add(anchor)
                messages[path, found.text] = Message(
                    found.kind, path, found.pieces, found.gaps, anchor
                )
    return list(messages.values())


def files(messages: list[Message], root: Path = ROOT) -> list[str]:
    """Paths of the modules that hold these messages."""
    return sorted({str(root / one.module) for one in messages})


def _kinds(trees: dict[str, ast.Module]) -> set[str]:
    """Names of the base class and of all classes that derive from it."""
    bases = {
        node.name: {ast.unparse(base).rsplit(".", 1)[-1] for base in node.bases}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    kinds = {_BASE}
    while new := {name for name, above in bases.items() if above & kinds} - kinds:
        kinds |= new
    return kinds


def _constants(tree: ast.Module) -> dict[str, str]:
    """The texts that a module gives a name."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


class _Reader:
    """Reads the messages of one module."""

    def __init__(self, path: str, kinds: set[str], constants: dict[str, str]) -> None:
        self._path, self._kinds, self._constants = path, kinds, constants

    def messages(self, tree: ast.Module) -> Iterator[Message]:
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
        for call in sorted(calls, key=lambda one: (one.lineno, one.col_offset)):
            name = ast.unparse(call.func).rsplit(".", 1)[-1]
            kind, of_files = _OF_A_FILE.get(name, (name, ""))
            if kind not in self._kinds or not self._path.startswith(of_files):
                continue
            texts: list[str | ast.expr] = [call.args[0]]
            if name in _OF_A_FILE:
                texts = [ast.Name("file"), " ", *texts]
            elif len(call.args) == 2:  # a setting and the rest of the line
                texts = [*texts, " ", call.args[1]]
            pieces, gaps = [""], []
            for one in texts:
                self._add(one, pieces, gaps)
            if len(re.findall(r"[^\W\d_]{2,}", " ".join(pieces))) >= _FEWEST_WORDS:
                yield Message(kind, self._path, tuple(pieces), tuple(gaps))

    def _add(self, part: str | ast.expr, pieces: list[str], gaps: list[str]) -> None:
        """Append a part of a text to ``pieces`` and ``gaps``, which are modified in place."""
        if isinstance(part, str):
            pieces[-1] += part
        elif isinstance(part, ast.Constant):
            pieces[-1] += str(part.value)
        elif isinstance(part, ast.JoinedStr):
            for one in part.values:
                self._add(one.value if isinstance(one, ast.FormattedValue) else one, pieces, gaps)
        elif isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add):
            self._add(part.left, pieces, gaps)
            self._add(part.right, pieces, gaps)
        elif isinstance(part, ast.Name) and part.id in self._constants:
            pieces[-1] += self._constants[part.id]
        else:
            gaps.append(_name_of_gap(part))
            pieces.append("")


def _name_of_gap(part: ast.expr) -> str:
    """``‹path›`` for ``path`` and ``self.path``; … for what is computed."""
    name = part.id if isinstance(part, ast.Name) else getattr(part, "attr", None)
    return f"‹{name.strip('_').replace('_', ' ')}›" if isinstance(name, str) else _GAP


def _joined(pieces: tuple[str, ...], gaps: tuple[str, ...]) -> str:
    text = pieces[0] + "".join(gap + piece for gap, piece in zip(gaps, pieces[1:], strict=True))
    return " ".join(text.split())


def _anchor(message: Message) -> str:
    """Module and first words: stays when lines move."""
    module = message.module.removesuffix(".py").removesuffix("/__init__")
    words = re.findall(r"[a-z0-9]+", " ".join(message.pieces).lower())[:8]
    return "-".join([*re.findall(r"[a-z0-9]+", module.lower()), *words])


def _free(anchor: str, taken: set[str]) -> str:
    number = 2
    free = anchor
    while free in taken:
        free, number = f"{anchor}-{number}", number + 1
    return free
