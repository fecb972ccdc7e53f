import numpy as np
import pytest

from dissect.statistics.spread import iou_at_edges, value_spread

EDGES = np.array([0.0, 1.0, 3.0], np.float32)
# All pixels, those of two concepts, and those of a plane, by bin.
HISTOGRAM = np.array([[40, 30, 20, 10], [0, 5, 10, 10], [0, 0, 0, 0], [10, 10, 20, 10]])


@pytest.mark.parametrize("counted", [0, 3])
def test_the_curve_is_iou_at_every_edge(counted):
    curve = iou_at_edges(HISTOGRAM[1], HISTOGRAM[counted])
    for edge in range(3):
        inside, active = HISTOGRAM[1, edge + 1 :].sum(), HISTOGRAM[counted, edge + 1 :].sum()
        assert curve[edge] == inside / (active + HISTOGRAM[1].sum() - inside)
    assert np.isnan(iou_at_edges(HISTOGRAM[2], HISTOGRAM[2])).all()


def test_values_are_spread_over_the_bins_between_two_edges_and_planes_are_left_out():
    found = value_spread(HISTOGRAM, EDGES, ["one", "none"])
    assert found.share.sel(concept="one").values.tolist() == [0, 0.2, 0.4, 0.4]
    assert np.isnan(found.share.sel(concept="none")).all()
    assert found.all_pixels.values.tolist() == [0.4, 0.3, 0.2, 0.1]
    assert found.above.values.tolist() == [-np.inf, 0, 1, 3]
    assert found.up_to.values.tolist() == [0, 1, 3, np.inf]
