"""Encoders: their file, whose they are, and searches that begin at their answers."""

import pytest
import torch

from dissect.errors import ConfigError, GeneratorError
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.inversion import encoder as encoders
from dissect.inversion.coordinates import coordinates
from dissect.inversion.degradations import parse_degradation
from dissect.inversion.encoder import (
    Encoder,
    EncoderNetwork,
    find_encoder,
    read_encoder,
    style_levels,
)
from dissect.inversion.optimise import invert
from dissect.inversion.settings import InversionSettings


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    config = StyleGAN2Config(
        image_size=16, channels=(16, 16, 8), z_size=8, w_size=8, mapping_depth=2
    )
    return StyleGAN2(StyleGAN2Network(config).requires_grad_(False), name="tiny")


def made(generator, space="w+", *, at_mean=False):
    torch.manual_seed(1)
    coords = coordinates(generator, space)
    mean, one = (coords.decode(torch.full((1, *coords.shape), v)).data[0] for v in (0.0, 1.0))
    levels = style_levels(generator) if space == "s" else None
    network = EncoderNetwork(size=16, channels=3, shape=coords.shape, levels=levels)
    if not at_mean:
        for head in network.heads:
            torch.nn.init.normal_(head.weight, std=0.2)
    spread = one - mean
    return Encoder(
        network, space=space, mean=mean, spread=spread, generator=generator.fingerprint
    )  # fmt: skip


@pytest.mark.parametrize("space", encoders.SPACES)
def test_an_encoder_is_read_as_it_was_written(tmp_path, generator, space):
    one = made(generator, space)
    path = one.save(tmp_path / "tiny-encoder.safetensors")
    again = read_encoder(path)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    answer = one.encode(images)
    assert answer.space == again.space == space
    assert answer.data.shape == (2, *generator.spaces[space].shape)
    assert torch.allclose(again.encode(images).data, answer.data, atol=2e-2)
    assert again.generator == one.generator
    assert again.save(tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("space", encoders.SPACES)
def test_a_search_of_one_step_is_the_encoders_answer_and_more_steps_come_nearer(generator, space):
    one = made(generator, space)
    images = generator.synthesize(generator.sample(range(2), seed=4))
    settings = {"space": space}
    found = invert(generator, images, InversionSettings(n_steps=1, **settings), encoder=one)
    answers = one.encode(images).data
    for k, inversion in enumerate(found):
        assert torch.allclose(inversion.latent.data[0], answers[k], atol=1e-4)
        assert inversion.settings["encoder"] == one.fingerprint
    longer = invert(generator, images, InversionSettings(n_steps=40, **settings), encoder=one)
    for first, last in zip(found, longer, strict=True):
        assert last.errors["mse"] < first.errors["mse"]


def test_the_first_level_of_styles_reads_the_deepest_map_alone_and_the_last_all_of_them(generator):
    """Of 8 style layers 2 are of the first level (4 in 14), 3 of the second (8 in 14)."""
    lengths = [part.stop - part.start for part in generator.style_slices.values()]
    levels = style_levels(generator)
    assert levels == [sum(lengths[:2]), sum(lengths[2:5]), sum(lengths[5:])]
    one = made(generator, "s")
    images = torch.rand(1, 3, 16, 16)
    moved = []
    for level, head in enumerate(one.network.heads):
        with torch.no_grad():
            before = one.network(images)[0]
            head.weight[:, -encoders._FIRST :] += 1  # what the last map that it reads gives
            changed = (one.network(images)[0] != before).nonzero().flatten()
        start = sum(levels[:level])
        assert changed.tolist() == list(range(start, start + levels[level]))
        moved.append(head.in_features)
    widths = [64, 128]  # of the maps of 8 and 4 pixels
    hidden = encoders._HIDDEN
    assert moved == [hidden + widths[1], hidden + sum(widths), hidden + sum(widths)]


def test_in_domain_with_an_encoder_that_always_says_the_mean_is_the_prior(generator):
    """E(G(w)) = w̄ whatever w, so mean (w − E(G(w)))² is the prior's mean square."""
    images = generator.synthesize(generator.sample([4], seed=4))
    encoder = made(generator, at_mean=True)
    settings = {"n_steps": 15, "space": "w+"}
    domain = invert(generator, images, InversionSettings(domain=3, **settings), encoder=encoder)
    prior = invert(generator, images, InversionSettings(prior=3, **settings), encoder=encoder)
    plain = invert(generator, images, InversionSettings(**settings), encoder=encoder)
    held, by_prior, free = (one[0].latent.data for one in (domain, prior, plain))
    assert (held - by_prior).norm() < 1e-3 * (free - by_prior).norm()


def test_an_encoder_of_other_weights_and_a_generator_without_one_are_one_line(
    tmp_path, generator, monkeypatch
):
    other = made(generator)
    other.generator = "1" * 64
    with pytest.raises(GeneratorError, match="the encoder belongs to a generator"):
        other.check(generator)
    with pytest.raises(GeneratorError, match=r"tiny has no encoder to w\+; expected"):
        find_encoder(generator)
    monkeypatch.setattr(encoders, "SHIPPED", tmp_path)
    made(generator).save(tmp_path / "tiny-encoder.safetensors")
    find_encoder(generator).check(generator)
    other.save(tmp_path / "tiny-encoder.safetensors")
    with pytest.raises(GeneratorError, match="expected the same"):
        find_encoder(generator)


def test_what_is_no_encoder_is_one_line(tmp_path, generator):
    image = generator.synthesize(generator.sample([0], seed=0))
    (inverted,) = invert(generator, image, InversionSettings(n_steps=1))
    odd = inverted.save(tmp_path / "latent.safetensors")
    whole = made(generator).save(tmp_path / "whole.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    calls = [
        (ConfigError, "holds no encoder", lambda: read_encoder(odd)),
        (ConfigError, "damaged", lambda: read_encoder(cut)),
        (ConfigError, "cannot be read", lambda: read_encoder(tmp_path / "none.safetensors")),
        (GeneratorError, "expected a power of two",
         lambda: EncoderNetwork(size=24, channels=3, shape=(6, 8))),
        (GeneratorError, "expected a power of two",
         lambda: EncoderNetwork(size=16, channels=3, shape=(6, 8), levels=[20, 20])),
        (ConfigError, "no encoder was given",
         lambda: invert(generator, image, InversionSettings(domain=1, n_steps=1))),
        (ConfigError, r"expected w\+, which it predicts",
         lambda: invert(generator, image, InversionSettings(space="w"), encoder=made(generator))),
        (ConfigError, "expected s, which it predicts, and whole images",
         lambda: invert(generator, image, InversionSettings(), encoder=made(generator, "s"))),
        (ConfigError, r"expected w\+, which it predicts, and whole images",
         lambda: invert(generator, image[:, :, ::2, ::2], encoder=made(generator),
                        degradation=parse_degradation("down:2"))),
    ]  # fmt: skip
    for kind, line, call in calls:
        with pytest.raises(kind, match=line) as caught:
            call()
        assert "\n" not in str(caught.value)
