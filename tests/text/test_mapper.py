"""StyleCLIP's mapper: it learns a planted text for images that it never saw; strength 0 is none."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from dissect.errors import ConfigError, GeneratorError
from dissect.text.mapper import Mapper, MapperNetwork, read_mapper, save_mapper, train_mapper
from dissect.text.scorer import TextScorer
from dissect.text.settings import MapperSettings
from tests.directions.worlds import generator as painted_world
from tests.text.planted_words import Brightness, tiny_stylegan2, w_plus

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = MapperSettings(mapper_steps=60, mapper_rate=0.02, mapper_batch=4, mapper_near=0.01)


@pytest.fixture(scope="module")
def trained():
    return train_mapper(tiny_stylegan2(), TextScorer(Brightness()), "red", SHORT)


def red(generator, latent):
    return generator.synthesize(latent)[:, 0].mean(dim=(1, 2))


def test_a_mapper_brings_fresh_images_nearer_to_its_text_and_further_with_its_strength(trained):
    generator = tiny_stylegan2()
    scorer = TextScorer(Brightness())
    latent = w_plus(generator, 8, seed=9)
    target = scorer.encode_texts(["red"])[0]
    distances = [
        scorer.distance(generator.synthesize(trained.apply(generator, latent, a)), target)
        for a in (0, 0.5, 1)
    ]
    assert distances[2].mean() < 0.7 * distances[0].mean()
    assert distances[2].mean() < distances[1].mean() < distances[0].mean()
    assert (red(generator, trained.apply(generator, latent)) > red(generator, latent)).all()
    assert sum(trained.distances[-10:]) < sum(trained.distances[:10])


def test_strength_0_and_an_untrained_mapper_are_the_identity(trained):
    generator = tiny_stylegan2()
    latent = w_plus(generator, 3)
    assert trained.apply(generator, latent, 0.0) is latent
    blank = MapperNetwork(*generator.spaces["w+"].shape)
    assert torch.equal(blank(latent.data), torch.zeros_like(latent.data))
    new = Mapper(blank, "red", generator.fingerprint, "", SHORT)
    assert torch.equal(new.apply(generator, latent, 2.0).data, latent.data)


def test_each_part_reads_only_its_own_layers(trained):
    network, size = trained.network, 8
    w = torch.randn(1, sum(network.sizes), size)
    assert len(network.sizes) == 3
    first = network.sizes[0]
    other = w.clone()
    other[:, first:] = 5 * torch.randn_like(other[:, first:])
    assert torch.equal(network(w)[:, :first], network(other)[:, :first])
    # Rows are normalised, so their length does not matter.
    assert torch.allclose(network(3 * w), network(w), atol=1e-5)


def test_the_same_seed_trains_the_same_and_leaves_torchs_own_seed_alone(trained):
    few = MapperSettings(mapper_steps=3)
    torch.manual_seed(4)
    expected = torch.get_rng_state()
    one, same, other = (
        train_mapper(tiny_stylegan2_again(), TextScorer(Brightness()), "red", few, seed=seed)
        for seed in (1, 1, 2)
    )
    torch.manual_seed(4)
    train_mapper(GENERATOR, TextScorer(Brightness()), "red", MapperSettings(mapper_steps=1))
    assert torch.equal(torch.get_rng_state(), expected)
    assert one.distances == same.distances != other.distances


def tiny_stylegan2_again():
    return GENERATOR


GENERATOR = tiny_stylegan2()


def test_a_file_gives_the_same_edit_and_belongs_to_its_generator(trained, tmp_path):
    generator = tiny_stylegan2()
    path = tmp_path / "red.safetensors"
    save_mapper(trained, path)
    again = read_mapper(path, generator)
    assert (again.text, again.settings) == ("red", SHORT)
    latent = w_plus(generator, 2, seed=3)
    expected = trained.apply(generator, latent, 0.7).data
    assert torch.equal(again.apply(generator, latent, 0.7).data, expected)
    other = tiny_stylegan2()
    other.fingerprint = "0" * 64
    with pytest.raises(GeneratorError, match="the mapper belongs to a generator"):
        read_mapper(path, other)
    with pytest.raises(GeneratorError, match="the mapper belongs to a generator"):
        trained.apply(other, latent)


def test_another_file_is_refused_in_one_line(trained, tmp_path):
    generator = tiny_stylegan2()
    (tmp_path / "text.safetensors").write_text("no tensors")
    good = tmp_path / "good.safetensors"
    save_mapper(trained, good)
    tensors = load_file(good)
    save_file({"a": torch.zeros(2)}, tmp_path / "plain.safetensors")
    about = {
        "version": 1, "text": "red", "generator": generator.fingerprint, "towers": "",
        "settings": {"mapper_steps": -1},
    }  # fmt: skip
    name = "gan-dissection/text-mapper"
    save_file(tensors, tmp_path / "settings.safetensors", metadata={name: json.dumps(about)})
    about["settings"] = {}
    tensors["groups.0.layers.0.weight"] = torch.zeros(3, 3)
    save_file(tensors, tmp_path / "shapes.safetensors", metadata={name: json.dumps(about)})
    for file in ("text", "plain", "settings", "shapes", "absent"):
        with pytest.raises(ConfigError) as caught:
            read_mapper(tmp_path / f"{file}.safetensors", generator)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"expected a file NAME\.safetensors"):
        save_mapper(trained, tmp_path / "mapper.pt")


def test_a_generator_without_w_plus_is_refused():
    with pytest.raises(GeneratorError, match=r"no space w\+"):
        train_mapper(painted_world(), TextScorer(Brightness()), "red", SHORT)
