"""Adds the table of a cluster to the counts of its layer, one unit after the other."""

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, boundscheck=False)
def collect(  # noqa: ANN201
    table,  # noqa: ANN001
    members,  # noqa: ANN001
    histogram,  # noqa: ANN001
    chosen,  # noqa: ANN001
    denominators,  # noqa: ANN001
    inside,  # noqa: ANN001
    active,  # noqa: ANN001
    shuffled,  # noqa: ANN001
    squares,  # noqa: ANN001
):
    """Add one cluster.

    Args:
        table: int32 (set, code, unit, bin), as ``tally`` gives it: own masks, and in the
            evaluation fold those of other images.
        members: (code, plane): concept ids of a code, 0 for none.
        histogram: int64 (set, row, unit, bin); raised.
        chosen: (threshold, unit, concept): edges at which pairs are scored; of length 0 on the
            calibration fold, where nothing but the histogram is raised.
        denominators: Of each concept, the row in which pixels above the threshold are counted.
        inside, active, shuffled: int64 (threshold, unit, concept); raised.
        squares: int64 (moment, threshold, unit, concept); raised.
    """
    n_sets, n_codes, n_units, n_bins = table.shape
    n_rows = histogram.shape[1]
    occurs = np.zeros(n_rows, np.bool_)
    occurs[0] = True
    for code in range(n_codes):
        for plane in range(members.shape[1]):
            occurs[members[code, plane]] = True
    counts = np.empty((n_sets, n_rows, n_bins), np.int32)
    for unit in range(n_units):
        counts[:] = 0
        for s in range(n_sets):
            for code in range(n_codes):
                cells = table[s, code, unit]
                counts[s, 0] += cells
                for plane in range(members.shape[1]):
                    if members[code, plane]:
                        counts[s, members[code, plane]] += cells
            for row in range(n_rows):
                if occurs[row]:
                    histogram[s, row, unit] += counts[s, row]
                    for n in range(n_bins - 2, -1, -1):  # from here on: pixels in this bin or above
                        counts[s, row, n] += counts[s, row, n + 1]
        for kind in range(chosen.shape[0]):
            for concept in range(chosen.shape[2]):
                n = chosen[kind, unit, concept] + 1
                i = np.int64(counts[0, concept + 1, n])
                a = np.int64(counts[0, denominators[concept], n])
                other = np.int64(counts[1, concept + 1, n])
                union = a + counts[0, concept + 1, 0] - i
                inside[kind, unit, concept] += i
                active[kind, unit, concept] += a
                shuffled[kind, unit, concept] += other
                squares[0, kind, unit, concept] += i * i
                squares[1, kind, unit, concept] += i * union
                squares[2, kind, unit, concept] += union * union
                squares[3, kind, unit, concept] += (i - other) * (i - other)
