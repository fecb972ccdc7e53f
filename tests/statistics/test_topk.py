import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dissect.statistics import TopImages


@given(st.integers(0, 1000), st.permutations(range(5)))
@settings(max_examples=40)
def test_the_top_is_exact_whatever_the_order_of_batches_and_ties_go_to_lower_indices(seed, order):
    peaks = np.random.default_rng(seed).integers(0, 6, size=(20, 3)).astype(np.float32)
    top = TopImages.none(n_units=3, k=4)
    for part in order:
        rows = list(range(4 * part, 4 * part + 4))
        top = top.with_peaks(peaks[rows], rows)
    for unit in range(3):
        ranked = sorted(range(20), key=lambda i: (-peaks[i, unit], i))[:4]
        assert top.indices[unit].tolist() == ranked
        assert top.values[unit].tolist() == peaks[ranked, unit].tolist()


def test_fewer_samples_than_places_leave_places_empty():
    top = TopImages.none(n_units=1, k=3).with_peaks(np.array([[2.0], [5.0]], np.float32), [7, 9])
    assert top.indices.tolist() == [[9, 7, -1]]
    assert top.values[0, 2] == -np.inf
