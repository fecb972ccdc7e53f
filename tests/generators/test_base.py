import pytest
import torch

from dissect import GeneratorError
from dissect.generators.base import sample_normal


class Conditional:
    """The parts of a conditional generator that sampling looks at."""

    def __init__(self, planted):
        self.name, self.n_classes = "conditional", 5
        self.spaces, self.device = planted.spaces, planted.device


def test_a_sample_of_a_conditional_generator_draws_its_own_label_in_any_batch(planted):
    generator = Conditional(planted)
    many = sample_normal(generator, range(40), seed=0, label=None)
    few = sample_normal(generator, [17, 3], seed=0, label=None)
    assert many.label.tolist()[17] == few.label[0]
    assert set(many.label.tolist()) == set(range(5))
    assert torch.equal(few.data[1], many.data[3])
    fixed = sample_normal(generator, range(3), seed=0, label=2)
    assert fixed.label.tolist() == [2, 2, 2]
    assert torch.equal(fixed.data, many.data[:3])


@pytest.mark.parametrize("label", [-1, 5])
def test_a_label_out_of_range_is_told(planted, label):
    with pytest.raises(GeneratorError, match=f"label {label} .* expected 0 to 4"):
        sample_normal(Conditional(planted), [0], seed=0, label=label)
