import numpy as np
import pytest
import torch

from dissect import dissect, load_generator, load_segmenter
from dissect.bases import rebuild_basis
from dissect.bases.mixture import Mixture, directions_of_a_draw
from dissect.config import RunConfig
from dissect.counting.subject import Subject

PLANTED = "dissect.worlds.planted:generator"


@pytest.mark.parametrize("n_channels", [2, 9, 64, 512])
def test_directions_of_a_draw_are_orthonormal_and_those_of_draws_differ(n_channels):
    found = Mixture.draw(3, n_channels=n_channels)
    rows = directions_of_a_draw(n_channels)
    assert found.matrix.shape == (3 * rows, n_channels)
    draws = found.matrix.double().reshape(3, rows, n_channels)
    products = draws @ draws.transpose(1, 2)
    torch.testing.assert_close(
        products, torch.eye(rows).double().expand(3, -1, -1), atol=1e-5, rtol=0
    )
    assert not torch.allclose(draws[0], draws[1])


def test_a_mixture_comes_back_from_what_is_stored_of_it():
    found = Mixture.draw(2, n_channels=9)
    again = rebuild_basis(found.name, found.to_tensors())
    assert again.fingerprint == found.fingerprint
    maps = torch.randn(2, 9, 4, 4)
    torch.testing.assert_close(
        again.encode(maps)[0, 1], (found.matrix[1] @ maps[0].flatten(1)).reshape(4, 4)
    )
    torch.testing.assert_close(
        found.encode(found.decode(found.encode(maps))), found.encode(maps), atol=1e-4, rtol=1e-4
    )


def test_layers_of_no_more_maps_than_colours_are_read_without_mixtures(planted):
    def mixtures(**settings):
        config = RunConfig("planted", "colour", ("units",), n_samples=16, **settings)
        return Subject.of(planted, load_segmenter("colour"), config).mixtures

    assert mixtures() == {"units": "units@mixture:4"}
    assert mixtures(mixtures=0) == mixtures(compat="gandissect") == {}
    planted = load_generator(PLANTED)
    planted.channels = 9
    assert mixtures() == {}


def test_mixtures_change_nothing_of_what_is_counted_of_units(tmp_path, planted_run):
    alone = dissect(
        PLANTED, "colour", out=tmp_path / "r", n_samples=200, mixtures=0, progress=False
    )
    for name in ("histogram", "iou", "p_value", "q_value", "top_inside"):
        np.testing.assert_array_equal(alone.array("units", name), planted_run.array("units", name))
    assert alone.mixtures("units") is None
    assert planted_run.mixtures("units").shape == (16, 3)
    # Without them, units that follow what others paint are named as well.
    assert alone.units("units").rung.tolist() == [2, 2, 2, 2, 2, 2, 2, 0, 0]
