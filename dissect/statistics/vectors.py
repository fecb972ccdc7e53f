"""Inner loops of the kernel on sixteen units at once, as explicit vector instructions.

numba vectorises plain loops over a few units only sometimes; these are always vectors, of the
processor's own width. An array's rows hold one number for each of ``LANES`` units, and positions
are counted in rows.

A *level* is an integer that represents a value: ceil(value / step) minus the unit's middle, clamped
to 16 bits. Edges are multiples of the step, so that value > edge is equivalent to level > level of
the edge (see ``dissect.statistics.edges``). Levels take half the memory of values, and one
instruction compares twice as many.
"""

# llvmlite and numba have no types; parameters here are instructions, not values.
# pyright: standard

import functools
from collections.abc import Callable
from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils, extending

from dissect.statistics.edges import HIGHEST, LOWEST

LANES = 16
PIECE = 8
"""Number of rows that are compared together."""

TAME = 2.0**30
"""Limit in steps; with a middle of at most 2²⁵ these values fit into 32 bits."""

# The typing context, the first parameter of an intrinsic, is passed by numba.
intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = extending.intrinsic

_INDEX = ir.IntType(64)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_LEVELS = ir.VectorType(ir.IntType(16), LANES)


def _row(context, builder, array_type, array, place, vector):  # noqa: ANN001, ANN202
    """Pointer to a row of a flat array."""
    data = context.make_array(array_type)(context, builder, array).data
    start = builder.gep(data, [builder.mul(place, ir.Constant(_INDEX, LANES))])
    return builder.bitcast(start, vector.as_pointer())


def _offset(builder, row, n_rows):  # noqa: ANN001, ANN202
    return builder.gep(row, [n_rows])


def _load(builder, pointer):  # noqa: ANN001, ANN202
    return builder.load(pointer, align=2)


def _everywhere(builder, scalar, vector):  # noqa: ANN001, ANN202
    none = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(none, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, none, ir.Constant(_INTEGERS, [0] * LANES))


def _generate_level(context, builder, signature, args, *, tame):  # noqa: ANN001, ANN202
    """Emit the instructions of ``write_level`` or the shorter ones of ``write_tame_level``."""
    levels, to, values, left, right, weight, middles = args
    levels_type, _, values_type, _, _, _, middles_type = signature.args
    zero = ir.Constant(_INDEX, 0)
    low, high = (
        _load(builder, _row(context, builder, values_type, values, place, _FLOATS))
        for place in (left, right)
    )
    middle = _load(builder, _row(context, builder, middles_type, middles, zero, _FLOATS))
    rest = builder.fsub(ir.Constant(ir.FloatType(), 1.0), weight)
    value = builder.fadd(
        builder.fmul(low, _everywhere(builder, rest, _FLOATS)),
        builder.fmul(high, _everywhere(builder, weight, _FLOATS)),
    )
    ceil = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_FLOATS, [_FLOATS]), f"llvm.ceil.v{LANES}f32"
    )
    level = builder.fsub(builder.call(ceil, [value]), middle)
    if tame:
        level = builder.fptosi(level, _INTEGERS)
    for relation, bound in ((">", LOWEST), ("<", HIGHEST)):
        if tame:  # together with the narrowing below, one instruction
            limit = ir.Constant(_INTEGERS, [bound] * LANES)
            within = builder.icmp_signed(relation, level, limit)
        else:  # a comparison with NaN is false: it gets the lowest level, which is above no edge
            limit = ir.Constant(_FLOATS, [float(bound)] * LANES)
            within = builder.fcmp_ordered(relation, level, limit)
        level = builder.select(within, level, limit)
    if not tame:
        level = builder.fptosi(level, _INTEGERS)
    found = builder.trunc(level, _LEVELS)
    builder.store(found, _row(context, builder, levels_type, levels, to, _LEVELS), align=2)
    return context.get_dummy_value()


@intrinsic
@no_type_check
def write_level(typing, levels, to, values, left, right, weight, middles):  # noqa: ANN001, ANN201
    """levels[to] = level of values[left] · (1 - weight) + values[right] · weight.

    Args:
        levels: int16, flat.
        to: Row of ``levels``.
        values: float32, flat, in steps.
        left, right: Rows of ``values``.
        weight: float32.
        middles: float32, one row.
    """
    index = types.intp
    signature = types.void(levels, index, values, index, index, types.float32, middles)
    return signature, functools.partial(_generate_level, tame=False)


@intrinsic
@no_type_check
def write_tame_level(typing, levels, to, values, left, right, weight, middles):  # noqa: ANN001, ANN201
    """``write_level`` for values that are all within ±``TAME`` steps."""
    index = types.intp
    signature = types.void(levels, index, values, index, index, types.float32, middles)
    return signature, functools.partial(_generate_level, tame=True)


# Rows of a square are taken in fours. Two shuffles bring the four rows of every fourth column
# together, four lanes at a time; two more join the fours of a column.
_LOW_SINGLES = [n + 4 * g for g in range(4) for n in (0, LANES, 1, LANES + 1)]
_HIGH_SINGLES = [n + 2 for n in _LOW_SINGLES]
_LOW_PAIRS = [n + 4 * g for g in range(4) for n in (0, 1, LANES, LANES + 1)]
_HIGH_PAIRS = [n + 2 for n in _LOW_PAIRS]
_EVEN_FOURS = [n + 4 * g for g in (0, 2, 4, 6) for n in range(4)]
_ODD_FOURS = [n + 4 for n in _EVEN_FOURS]


def _transposed(builder, rows):  # noqa: ANN001, ANN202
    """The columns of sixteen vectors."""

    def shuffle(first, second, order):  # noqa: ANN001, ANN202
        return builder.shuffle_vector(first, second, ir.Constant(_INTEGERS, order))

    fours = []
    for q in range(0, LANES, 4):
        a, b, c, d = rows[q : q + 4]
        low, high = shuffle(a, b, _LOW_SINGLES), shuffle(a, b, _HIGH_SINGLES)
        low_next, high_next = shuffle(c, d, _LOW_SINGLES), shuffle(c, d, _HIGH_SINGLES)
        fours.append(
            [
                shuffle(low, low_next, _LOW_PAIRS), shuffle(low, low_next, _HIGH_PAIRS),
                shuffle(high, high_next, _LOW_PAIRS), shuffle(high, high_next, _HIGH_PAIRS),
            ]
        )  # fmt: skip
    columns = [None] * LANES
    for n, (a, b, c, d) in enumerate(zip(*fours, strict=True)):
        even, even_next = shuffle(a, b, _EVEN_FOURS), shuffle(c, d, _EVEN_FOURS)
        odd, odd_next = shuffle(a, b, _ODD_FOURS), shuffle(c, d, _ODD_FOURS)
        columns[n] = shuffle(even, even_next, _EVEN_FOURS)
        columns[n + 8] = shuffle(even, even_next, _ODD_FOURS)
        columns[n + 4] = shuffle(odd, odd_next, _EVEN_FOURS)
        columns[n + 12] = shuffle(odd, odd_next, _ODD_FOURS)
    return columns


@intrinsic
@no_type_check
def transpose_square(typing, source, to, maps, first, factors):  # noqa: ANN001, ANN201
    """source[to + n, unit] = maps[unit, first + n] · factors[unit] for ``LANES`` n and units.

    Args:
        source: float32, flat.
        to: First row of ``source``.
        maps: float32 (unit, pixel), ``LANES`` units; the pixels of a unit are neighbours.
        first: First pixel.
        factors: float32, one row.
    """
    index = types.intp
    signature = types.void(source, index, maps, index, factors)

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        source, to, maps, first, factors = args
        source_type, _, maps_type, _, factors_type = signature.args
        given = context.make_array(maps_type)(context, builder, maps)
        (stride, _) = cgutils.unpack_tuple(builder, given.strides)
        begin = builder.gep(given.data, [first])
        begin = builder.bitcast(begin, ir.IntType(8).as_pointer())
        rows = []
        for unit in range(LANES):
            offset = builder.mul(stride, ir.Constant(_INDEX, unit))
            place = builder.bitcast(builder.gep(begin, [offset]), _FLOATS.as_pointer())
            rows.append(builder.load(place, align=4))
        zero = ir.Constant(_INDEX, 0)
        factor = _load(builder, _row(context, builder, factors_type, factors, zero, _FLOATS))
        target = _row(context, builder, source_type, source, to, _FLOATS)
        for n, column in enumerate(_transposed(builder, rows)):
            place = _offset(builder, target, ir.Constant(_INDEX, n))
            builder.store(builder.fmul(column, factor), place, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
@no_type_check
def count_piece(typing, levels, first, edges, n_edges, above):  # noqa: ANN001, ANN201
    """Increment above[edge] by the number of the ``PIECE`` rows of levels above edges[edge].

    Takes two edges at a time and stops when nothing is above the second, since edges ascend.

    Args:
        levels: int16, flat.
        first: The first row of the piece.
        edges: int16, flat, a row for each edge.
        n_edges: Number of edges; even, at least 2.
        above: int16, flat, a row for each edge.

    Returns:
        Number of rows of ``above`` that were visited.
    """
    signature = types.intp(levels, types.intp, edges, types.intp, above)

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        levels, first, edges, n_edges, above = args
        levels_type, _, edges_type, _, above_type = signature.args
        zero, two = ir.Constant(_INDEX, 0), ir.Constant(_INDEX, 2)
        begin = _row(context, builder, levels_type, levels, first, _LEVELS)
        rows = [
            _load(builder, _offset(builder, begin, ir.Constant(_INDEX, n))) for n in range(PIECE)
        ]
        edge_rows = _row(context, builder, edges_type, edges, zero, _LEVELS)
        above_rows = _row(context, builder, above_type, above, zero, _LEVELS)
        before = builder.basic_block
        loop = builder.append_basic_block("edges")
        after = builder.append_basic_block("counted")
        builder.branch(loop)
        builder.position_at_end(loop)
        edge = builder.phi(_INDEX)
        edge.add_incoming(zero, before)
        marks: list[Any] = []
        for n in range(2):
            place = builder.add(edge, ir.Constant(_INDEX, n))
            limit = _load(builder, _offset(builder, edge_rows, place))
            # A comparison that holds is -1 in every lane.
            marks = [builder.sext(builder.icmp_signed(">", row, limit), _LEVELS) for row in rows]
            while len(marks) > 1:
                marks = [builder.add(a, b) for a, b in zip(marks[::2], marks[1::2], strict=True)]
            target = _offset(builder, above_rows, place)
            total = builder.sub(_load(builder, target), marks[0])
            builder.store(total, target, align=2)
        some = builder.icmp_unsigned(
            "!=", builder.bitcast(marks[0], ir.IntType(16 * LANES)), ir.IntType(16 * LANES)(0)
        )
        following = builder.add(edge, two)
        edge.add_incoming(following, loop)
        more = builder.and_(some, builder.icmp_signed("<", following, n_edges))
        builder.cbranch(more, loop, after)
        builder.position_at_end(after)
        return following

    return signature, generate
