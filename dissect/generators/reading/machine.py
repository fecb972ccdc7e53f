"""Executes the instructions of a pickle, with inert values only.

A pickle is a program for a machine with a stack and a numbered memo. This machine knows the
instructions of protocols 0 to 5 that files use. It looks up nothing and calls only the functions
that it is given: ``call`` for a name and its arguments, ``build`` for an object and its state,
``persistent`` for values stored outside of the pickle. Before an instruction runs, the machine
charges the memory that its result can take, which bounds time and memory by the size of the file.
Declared lengths are compared with the available bytes.

References:
    CPython, Lib/pickletools.py: the effect of each instruction on the stack.
"""

import struct
from collections.abc import Callable

from dissect.generators.reading.bounds import SAVE_WEIGHTS, Refusal, damaged
from dissect.generators.reading.stack import Machine, Meaning

_STOP = ord(".")


def unpickle(
    data: memoryview,
    start: int,
    meaning: Meaning,
    persistent: Callable[[object], object] | None = None,
) -> tuple[object, int]:
    """Execute one pickle.

    Args:
        data: Bytes that contain it.
        start: Index of its first byte.
        meaning: Gives the values of names in it.
        persistent: Gives the value of a persistent id; None if the file has none.

    Returns:
        The value, and the end of the pickle. Bytes longer than 256 are memoryviews of ``data``.

    Raises:
        Refusal: a pickle that is damaged, or that needs more than inert values.
    """
    machine = Machine(data, start, meaning, persistent)
    try:
        return _run(machine), machine.position
    except (
        LookupError, TypeError, ValueError, ArithmeticError, RecursionError, struct.error,
    ) as error:  # fmt: skip
        # Errors that Python's own checks raise: nothing to pop, an unknown memo, invalid digits,
        # endlessly nested calls.
        raise damaged(f"byte {machine.position}: {type(error).__name__}") from error


def _run(machine: Machine) -> object:
    charge = machine.meaning.allowance.charge
    while True:
        code = machine.data[machine.position]
        machine.position += 1
        if code == _STOP:
            return machine.stack.pop()
        if code in _FOREIGN:
            raise Refusal(
                f"uses the pickle instruction {_FOREIGN[code]}, which only programs that share "
                f"memory or a registry understand; {SAVE_WEIGHTS}"
            )
        if code not in _OPERATIONS:
            raise damaged(f"byte {machine.position - 1}: no pickle instruction")
        operation, cost = _OPERATIONS[code]
        charge(cost)
        operation(machine)


_Operation = Callable[[Machine], object]
_OPERATIONS: dict[int, tuple[_Operation, int]] = {
    # Instruction: effect, and largest size of the result in bytes (text and calls add theirs)
    ord("("): (Machine.mark, 128),
    ord("0"): (Machine.pop, 64),
    ord("1"): (Machine.marked, 64),
    ord("2"): (lambda m: m.push(m.stack[-1]), 64),
    # Plain values
    ord("N"): (lambda m: m.push(None), 64),
    0x88: (lambda m: m.push(True), 64),
    0x89: (lambda m: m.push(False), 64),
    ord("K"): (lambda m: m.push(m.number(1)), 64),
    ord("M"): (lambda m: m.push(m.number(2)), 64),
    ord("J"): (lambda m: m.integer(4), 64),
    0x8A: (lambda m: m.integer(m.number(1)), 320),
    0x8B: (lambda m: m.integer(m.number(4)), 1200),
    ord("I"): (Machine.decimal, 64),
    ord("L"): (Machine.decimal, 64),
    ord("G"): (lambda m: m.push(struct.unpack(">d", m.take(8))[0]), 64),
    ord("F"): (lambda m: m.push(float(m.line())), 64),
    # Text and bytes
    0x8C: (lambda m: m.push(m.text(m.number(1))), 96),
    ord("X"): (lambda m: m.push(m.text(m.number(4))), 96),
    0x8D: (lambda m: m.push(m.text(m.number(8))), 96),
    ord("V"): (Machine.unicode, 96),
    ord("S"): (Machine.string, 96),
    ord("U"): (lambda m: m.push(m.latin(m.number(1))), 96),
    ord("T"): (lambda m: m.push(m.latin(m.number(4))), 96),
    ord("C"): (lambda m: m.push(m.raw(m.number(1))), 96),
    ord("B"): (lambda m: m.push(m.raw(m.number(4))), 96),
    0x8E: (lambda m: m.push(m.raw(m.number(8))), 96),
    0x96: (lambda m: m.push(m.raw(m.number(8))), 96),
    # Containers
    ord(")"): (lambda m: m.push(()), 64),
    0x85: (lambda m: m.tuple_of(1), 96),
    0x86: (lambda m: m.tuple_of(2), 96),
    0x87: (lambda m: m.tuple_of(3), 96),
    ord("t"): (lambda m: m.push(tuple(m.marked())), 96),
    ord("]"): (lambda m: m.push([]), 96),
    ord("l"): (lambda m: m.push(m.marked()), 96),
    ord("a"): (lambda m: m.append([m.stack.pop()]), 64),
    ord("e"): (lambda m: m.append(m.marked()), 64),
    ord("}"): (lambda m: m.push({}), 128),
    ord("d"): (Machine.dictionary, 128),
    ord("s"): (lambda m: m.set_items([m.stack.pop(-2), m.stack.pop()]), 64),
    ord("u"): (lambda m: m.set_items(m.marked()), 64),
    0x8F: (lambda m: m.push(set()), 256),
    0x90: (Machine.add_items, 64),
    0x91: (Machine.frozen_set, 256),
    # The memo
    ord("p"): (lambda m: m.remember(int(m.line())), 160),
    ord("q"): (lambda m: m.remember(m.number(1)), 160),
    ord("r"): (lambda m: m.remember(m.number(4)), 160),
    0x94: (lambda m: m.remember(len(m.memo)), 160),
    ord("g"): (lambda m: m.push(m.memo[int(m.line())]), 64),
    ord("h"): (lambda m: m.push(m.memo[m.number(1)]), 64),
    ord("j"): (lambda m: m.push(m.memo[m.number(4)]), 64),
    # Names, calls, states
    ord("c"): (lambda m: m.push(m.meaning.name(m.name_line(), m.name_line())), 256),
    0x93: (Machine.stack_name, 256),
    ord("R"): (Machine.call, 384),
    0x81: (Machine.call, 384),
    0x92: (lambda m: m.call(keywords=True), 384),
    ord("o"): (Machine.call_marked, 384),
    ord("i"): (Machine.call_named, 384),
    ord("b"): (Machine.build, 64),
    ord("Q"): (Machine.fetch, 256),
    # The stream
    0x80: (Machine.protocol, 64),
    0x95: (Machine.frame, 64),
}
_FOREIGN = {
    ord("P"): "PERSID",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}
