import pytest
import torch

from dissect import load_generator, load_segmenter
from segmenters.devices import devices_here, find_device
from segmenters.errors import DissectError


@pytest.mark.parametrize(
    ("at_hand", "taken"),
    [((), "cpu"), (("mps",), "mps"), (("cuda", "mps"), "cuda"), (("xpu",), "xpu")],
)
def test_auto_takes_the_accelerator_that_torch_has(monkeypatch, at_hand, taken):
    for name, module in (("cuda", torch.cuda), ("xpu", torch.xpu), ("mps", torch.backends.mps)):
        monkeypatch.setattr(module, "is_available", lambda name=name: name in at_hand)
    assert find_device("auto").type == taken
    assert devices_here() == [*(n for n in ("cuda", "xpu", "mps") if n in at_hand), "cpu"]


@pytest.mark.parametrize("name", ["abacus", "meta", "cpu:x", ""])
def test_a_device_that_is_not_there_is_refused_in_one_line(name):
    with pytest.raises(
        DissectError, match="which torch does not have here; expected cpu"
    ) as caught:
        find_device(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("load", "spec"), [(load_generator, "scenes-stylegan2"), (load_segmenter, "colour")]
)
def test_models_are_loaded_where_they_are_asked_to_run(load, spec):
    assert load(spec, device="auto").device.type == devices_here()[0]
    with pytest.raises(DissectError, match="torch does not have here"):
        load(spec, device="abacus")
