import pytest
import torch

from dissect import LayerError, LayerInfo, trace
from dissect.tracing import resolve_layers


def hooks(generator):
    return sum(len(module._forward_hooks) for module in generator.module.modules())


def test_a_layer_is_recorded_and_the_hooks_are_gone_afterwards(planted):
    with trace(planted, ["units"]) as maps:
        assert hooks(planted) == 1
        planted.synthesize(planted.sample(range(3), seed=0))
    assert hooks(planted) == 0
    assert maps["units"].shape == (3, 9, 32, 32)


def test_hooks_are_gone_after_an_exception(planted):
    with pytest.raises(RuntimeError, match="stop"), trace(planted, "all"):
        raise RuntimeError("stop")
    assert hooks(planted) == 0


def test_an_empty_trace_changes_no_bit_of_the_image(planted):
    latent = planted.sample(range(4), seed=0)
    bare = planted.synthesize(latent)
    with trace(planted, "all"):
        traced = planted.synthesize(latent)
    assert torch.equal(bare, traced)


def test_an_unknown_layer_is_told_with_the_nearest_name(planted):
    with pytest.raises(LayerError, match=r"'unit' is not in planted; did you mean 'units'\?"):
        resolve_layers(planted, ["unit"])
    with pytest.raises(LayerError, match="no layer was given"):
        resolve_layers(planted, [])


def test_a_map_of_another_shape_is_refused(planted, monkeypatch):
    monkeypatch.setitem(planted.layers, "units", LayerInfo(9, 16, 16, "units"))
    with (
        pytest.raises(LayerError, match=r"put out \(1, 9, 32, 32\); expected \(batch, 9, 16, 16\)"),
        trace(planted, "all"),
    ):
        planted.synthesize(planted.sample([0], seed=0))
    assert hooks(planted) == 0


def test_a_map_that_is_overwritten_in_place_is_told(planted):
    with trace(planted, "all") as maps:
        planted.synthesize(planted.sample([0], seed=0))
        maps._recorded["units"][0].relu_()
        with pytest.raises(LayerError, match="overwritten"):
            maps["units"]
