"""The stack, the memo and the input bytes of the machine that executes pickles; see ``machine``."""

from collections.abc import Callable
from typing import Protocol

from dissect.generators.reading.bounds import SAVE_WEIGHTS, Allowance, Refusal, damaged
from dissect.generators.reading.names import Global, Record
from dissect.generators.reading.plain import as_key, unescape, unescape_unicode

_HIGHEST_PROTOCOL = 5
_LONGEST_LINE = 1 << 20
_LONGEST_INTEGER = 1024  # bytes; Python prints at most 4300 digits
_VIEW_FROM = 256  # longer bytes are views, not copies


class Meaning(Protocol):
    """Gives the values of names and calls to the machine."""

    allowance: Allowance

    def name(self, module: object, name: object) -> Global:
        """The value of a name."""
        ...

    def call(self, function: object, arguments: object, keywords: object) -> object:
        """The value of a call."""
        ...

    def build(self, target: object, state: object) -> None:
        """Give an object its state."""
        ...


class Machine:
    """State of a pickle in execution; its methods implement the instructions."""

    def __init__(
        self,
        data: memoryview,
        start: int,
        meaning: Meaning,
        persistent: Callable[[object], object] | None,
    ) -> None:
        self.data, self.position, self.end = data, start, len(data)
        self.meaning, self.persistent = meaning, persistent
        self.stack: list[object] = []
        self.below: list[list[object]] = []  # stacks below each mark
        self.memo: dict[int, object] = {}

    # Bytes

    def take(self, n: int) -> memoryview:
        if n > self.end - self.position:
            raise damaged(f"byte {self.position}: {n:,} bytes declared, {self.end:,} in all")
        start, self.position = self.position, self.position + n
        return self.data[start : self.position]

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n), "little")

    def line(self) -> bytes:
        length = 128
        while True:
            found = bytes(self.data[self.position : self.position + length])
            end = found.find(b"\n")
            if end >= 0:
                self.position += end + 1
                self.meaning.allowance.charge(4 * end)
                return found[:end]
            if length > min(_LONGEST_LINE, self.end - self.position):
                raise damaged(f"byte {self.position}: a line without an end")
            length *= 8

    def name_line(self) -> str:
        return str(self.line(), "utf-8")

    def text(self, n: int) -> str:
        found = self.take(n)
        self.meaning.allowance.charge(4 * n)
        return str(found, "utf-8", "surrogatepass")

    def latin(self, n: int) -> str:
        found = self.take(n)
        self.meaning.allowance.charge(n)
        return str(found, "latin-1")

    def raw(self, n: int) -> bytes | memoryview:
        self.meaning.allowance.charge(256)
        found = self.take(n)
        return found if n > _VIEW_FROM else bytes(found)

    # The stack

    def push(self, value: object) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def marked(self) -> list[object]:
        """The values pushed since the last mark."""
        values, self.stack = self.stack, self.below.pop()
        return values

    def integer(self, n: int) -> None:
        if n > _LONGEST_INTEGER:
            raise damaged(f"byte {self.position}: an integer of {n:,} bytes")
        self.push(int.from_bytes(self.take(n), "little", signed=True))

    def decimal(self) -> None:
        text = self.line().rstrip(b"L")
        self.push(text == b"01" if text in (b"00", b"01") else int(text))

    def string(self) -> None:
        text = str(self.line().strip(), "latin-1")
        if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
            raise damaged(f"byte {self.position}: text without quotes")
        self.push(unescape(text[1:-1]))

    def unicode(self) -> None:
        self.push(unescape_unicode(str(self.line(), "latin-1")))

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.marked()

    def tuple_of(self, n: int) -> None:
        values = tuple(self.stack[-n:])
        if len(values) < n:
            raise damaged(f"byte {self.position}: too little on the stack")
        self.stack[-n:] = [values]

    def append(self, values: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target = target.elements
        if not isinstance(target, list):
            raise damaged(f"byte {self.position}: elements for a {type(target).__name__}")
        target.extend(values)

    def set_items(self, pairs: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target = target.state
        if not isinstance(target, dict) or len(pairs) % 2:
            raise damaged(f"byte {self.position}: items for a {type(target).__name__}")
        for i in range(0, len(pairs), 2):
            target[as_key(pairs[i], self.meaning.allowance)] = pairs[i + 1]

    def add_items(self) -> None:
        values = self.marked()
        target = self.stack[-1]
        if not isinstance(target, set):
            raise damaged(f"byte {self.position}: members for a {type(target).__name__}")
        target.update(as_key(value, self.meaning.allowance) for value in values)

    def frozen_set(self) -> None:
        self.push(frozenset(as_key(value, self.meaning.allowance) for value in self.marked()))

    def dictionary(self) -> None:
        pairs = self.marked()
        self.push({})
        self.set_items(pairs)

    # Names

    def call(self, *, keywords: bool = False) -> None:
        given = self.stack.pop() if keywords else {}
        arguments = self.stack.pop()
        self.push(self.meaning.call(self.stack.pop(), arguments, given))

    def call_marked(self) -> None:
        function, *arguments = self.marked()
        self.push(self.meaning.call(function, tuple(arguments), {}))

    def call_named(self) -> None:
        function = self.meaning.name(self.name_line(), self.name_line())
        self.push(self.meaning.call(function, tuple(self.marked()), {}))

    def stack_name(self) -> None:
        name = self.stack.pop()
        self.push(self.meaning.name(self.stack.pop(), name))

    def build(self) -> None:
        state = self.stack.pop()
        self.meaning.build(self.stack[-1], state)

    def fetch(self) -> None:
        if self.persistent is None:
            raise Refusal(
                f"refers to things outside of itself that are not in the file; {SAVE_WEIGHTS}"
            )
        self.push(self.persistent(self.stack.pop()))

    def protocol(self) -> None:
        version = self.number(1)
        if version > _HIGHEST_PROTOCOL:
            raise damaged(f"pickle protocol {version}")

    def frame(self) -> None:
        if self.number(8) > self.end - self.position:
            raise damaged(f"byte {self.position}: a frame longer than the file")

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]
