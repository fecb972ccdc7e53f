"""A generator whose weights are shuffled has hardly any named units, whatever its images show."""

import pytest
import torch

import dissect
from dissect.statistics.ladder import NAMED

LAYERS = ["b16.conv1", "b32.conv1"]


def named_units(generator, out) -> int:
    run = dissect.dissect(
        generator, "scenes", out=out, layers=LAYERS, n_samples=300, progress=False
    )
    return sum(int((run.units(layer).rung >= NAMED).sum()) for layer in LAYERS)


@pytest.mark.slow
def test_shuffled_weights_leave_a_tenth_of_the_named_units_at_most(tmp_path):
    trained = named_units(dissect.load_generator("scenes-stylegan2"), tmp_path / "trained")
    generator = dissect.load_generator("scenes-stylegan2")
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in generator.module.synthesis.parameters():
            order = torch.randperm(parameter.numel(), generator=draws)
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    generator.fingerprint = "shuffled"
    shuffled = named_units(generator, tmp_path / "shuffled")
    assert trained >= 20
    assert shuffled <= trained / 10
