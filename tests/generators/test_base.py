import pytest
import torch

from dissect import (
    Ablate,
    GeneratorError,
    Latent,
    inspect_generator,
    intervene,
    load_generator,
)
from dissect.generators.base import sample_normal
from dissect.testing import check_generator


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


class Plain:
    """A generator of one's own without the two members that may be left out."""

    def __init__(self, planted):
        self._planted = planted

    def __getattr__(self, name):
        if name in ("family", "not_editable") or name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._planted, name)


def test_a_generator_of_ones_own_may_leave_out_family_and_not_editable(
    planted, tmp_path, monkeypatch
):
    (tmp_path / "plain_world.py").write_text(
        "from dissect.worlds.planted import generator\n"
        "from tests.generators.test_base import Plain\n"
        "def make():\n"
        "    return Plain(generator())\n"
    )
    monkeypatch.chdir(tmp_path)
    found = load_generator("plain_world:make")
    assert (found.family, found.not_editable) == ("Plain", None)
    with intervene(found, [Ablate("units", [0])]):
        found.synthesize(found.sample([0], seed=0))
    assert len(check_generator(Plain(planted))) == len(check_generator(planted))
    assert inspect_generator(Plain(planted))["family"] == "Plain"


def test_the_one_space_takes_vectors_written_as_maps_and_scales_them(planted):
    latent = planted.sample([0, 1], seed=0)
    as_maps = Latent("z", latent.data[:, :, None, None])
    assert torch.equal(planted.synthesize(as_maps), planted.synthesize(latent))
    half = planted.convert(as_maps, "z", truncation=0.5)
    assert torch.equal(half.data, latent.data / 2)
    with pytest.raises(GeneratorError, match="no w\\+ space, but cutoff 3 was given"):
        planted.convert(latent, "z", cutoff=3)
