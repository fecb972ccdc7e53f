import numpy as np
import pytest
import torch

from dissect import Ablate, GeneratorError, Insert, Latent, intervene, load_generator, trace
from dissect.errors import ConfigError
from dissect.generators.dalle import (
    DalleConfig,
    DalleGenerator,
    DalleWeights,
    save_dalle,
)
from dissect.generators.discrete_vae import DiscreteVAE, VAEConfig
from dissect.generators.text_image_transformer import (
    TransformerConfig,
    attend,
    collect_words,
    split_words,
    tokenise,
)
from dissect.testing import check_generator

WORDS = ("a", "house", "night", "tree")
PROMPTS = ("a house", "a tree", "night", "tree a tree")
N_WORDS, N_CODES = 4, 16
SIZES = TransformerConfig(
    WORDS, n_words=N_WORDS, grid=4, n_codes=N_CODES, width=16, depth=2, n_heads=2
)


def make_weights(**settings):
    """Random weights, so large that captions and edits exchange codes."""
    torch.manual_seed(0)
    vae = VAEConfig(size=32, n_codes=N_CODES, widths=(6, 8, 12))
    weights = DalleWeights(DalleConfig(vae, SIZES, PROMPTS, **settings))
    with torch.no_grad():
        for parameter in weights.transformer.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.6)
    return weights.eval()


@pytest.fixture(scope="module")
def generator():
    return DalleGenerator(make_weights(guidance=2.0), name="tiny")


def draw(generator, latent):
    """Codes of latents, with the logits that they were drawn from."""
    weights = torch.nn.functional.one_hot(latent.label, generator.n_classes).double()
    text, member = generator.captioned.mix(weights)
    gumbel = -(-torch.special.log_ndtr(latent.data.double())).log()
    with torch.no_grad():
        return generator.module.tokens(gumbel, text, member, generator.captioned.empty)


def logits_at_once(transformer, captions, tokens, changed=None):
    """The reference: all positions in one pass, without a memory; rows are places."""
    words = tokenise(captions, SIZES)
    text = transformer.open(transformer.embed_text(words))
    codes = transformer.embed_code(tokens.flatten(1)[:, :-1], 0)
    x = torch.cat([text, codes], dim=1)
    with torch.no_grad():
        for number, block in enumerate(transformer.blocks):
            x = block(x, attended=changed if number == 0 else None)
        return transformer.to_image(transformer.norm(x)[:, N_WORDS:])


# Laws and references


def test_it_keeps_all_laws(generator):
    assert len(check_generator(generator)) == 11


@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0, 2.0, 3.5])
def test_place_by_place_gives_the_logits_of_one_pass_guided(generator, guidance):
    generator = generator.with_guidance(guidance)
    latent = generator.sample(range(8), seed=0)
    captions = [PROMPTS[k] for k in latent.label]
    tokens, logits = draw(generator, latent)
    transformer = generator.module.transformer
    said = logits_at_once(transformer, captions, tokens)
    empty = logits_at_once(transformer, [""] * 8, tokens)
    expected = empty + guidance * (said - empty)
    assert torch.allclose(logits.flatten(2).transpose(1, 2), expected, atol=1e-10)
    if guidance == 1:  # what the network says of the captions alone
        assert torch.allclose(logits.flatten(2).transpose(1, 2), said, atol=1e-12)
        assert (said - empty).abs().max() > 0.1


def test_a_guidance_of_one_never_runs_the_empty_caption(generator, monkeypatch):
    seen = []
    transformer = generator.module.transformer
    opened = transformer.open
    monkeypatch.setattr(transformer, "open", lambda text: seen.append(len(text)) or opened(text))
    for guidance in (1.0, 2.0):
        one = generator.with_guidance(guidance)
        monkeypatch.setattr(one.module.transformer, "open", transformer.open)
        draw(one, one.sample(range(3), seed=0))
    assert seen == [3, 6]


def test_the_training_pass_is_the_same_pass(generator):
    tokens = torch.randint(N_CODES, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    words = tokenise(PROMPTS[:2], SIZES)
    transformer = generator.module.transformer
    _, image = transformer(words, tokens)
    assert torch.equal(image, logits_at_once(transformer, PROMPTS[:2], tokens))
    terms = transformer.loss(words, tokens)
    chosen = image.softmax(dim=-1).gather(2, tokens.flatten(1)[..., None])
    assert float(terms["image"]) == pytest.approx(7 / 8 * float(-chosen.log().mean()), rel=1e-5)


def test_codes_are_drawn_with_the_probabilities_of_the_logits():
    generator = DalleGenerator(make_weights(), name="tiny")
    latent = generator.sample(range(4000), seed=0, label=1)
    tokens, logits = draw(generator, latent)
    expected = logits[0, :, 0, 0].softmax(dim=0)
    found = torch.bincount(tokens[:, 0, 0], minlength=N_CODES) / len(latent)
    spread = (expected * (1 - expected) / len(latent)).sqrt()
    assert ((found - expected).abs() < 4.5 * spread + 1e-4).all()
    assert expected.max() < 0.9  # so that there is something to draw


def test_only_the_likeliest_codes_are_drawn():
    generator = DalleGenerator(make_weights(top_k=3), name="tiny")
    tokens, logits = draw(generator, generator.sample(range(16), seed=0))
    assert (logits.isfinite().sum(dim=1) == 3).all()
    assert logits.gather(1, tokens[:, None]).isfinite().all()


def test_a_sample_has_the_same_codes_in_any_batch(generator):
    latent = generator.sample(range(24), seed=3)
    whole, _ = draw(generator, latent)
    alone = torch.cat([draw(generator, latent[i : i + 1])[0] for i in range(24)])
    assert torch.equal(whole, alone)


def test_without_guidance_weight_the_caption_counts_for_nothing():
    generator = DalleGenerator(make_weights(guidance=0.0), name="tiny")
    latent = generator.sample([0], seed=0, label=0)
    other = Latent("z", latent.data, torch.tensor([3]))
    assert torch.equal(generator.synthesize(latent), generator.synthesize(other))
    followed = generator.with_guidance(1.0)
    assert not torch.equal(followed.synthesize(latent), followed.synthesize(other))
    assert followed.fingerprint != generator.fingerprint


# Attention and blocks


def test_attention_units_are_the_words_of_the_caption(generator):
    latent = generator.sample([0, 1], seed=0, label=3)  # "tree a tree"
    with trace(generator, ["blocks.0.attention"]) as maps:
        tokens, _ = draw(generator, latent)
    found = maps["blocks.0.attention"]
    assert (found[:, [WORDS.index("house"), WORDS.index("night")]] == 0).all()
    transformer = generator.module.transformer
    kept = {}
    logits_at_once(transformer, [PROMPTS[3]] * 2, tokens, lambda a: kept.setdefault("attention", a))
    paid = kept["attention"].mean(dim=1)[:, N_WORDS:, 1:]  # to the words, behind <bos>
    trees = (paid[:, :, 0] + paid[:, :, 2]).reshape(2, 4, 4)
    assert torch.allclose(found[:, WORDS.index("tree")].double(), trees, atol=1e-6)


def test_ablating_a_word_takes_all_attention_to_it(generator):
    latent = generator.sample(range(6), seed=1, label=3)
    with intervene(generator, [Ablate("blocks.0.attention", [WORDS.index("tree")])]):
        tokens, logits = draw(generator, latent)

    def cut(attention):
        changed = attention.clone()
        changed[:, :, N_WORDS:, [1, 3]] = 0
        return changed

    transformer = generator.module.transformer
    said = logits_at_once(transformer, [PROMPTS[3]] * 6, tokens, cut)
    empty = logits_at_once(transformer, [""] * 6, tokens)
    expected = empty + 2.0 * (said - empty)
    assert torch.allclose(logits.flatten(2).transpose(1, 2), expected, atol=1e-6)
    plain, _ = draw(generator, latent)
    assert not torch.equal(plain, tokens)


def test_an_edit_acts_in_its_region_and_leaves_what_was_drawn_before(generator):
    latent = generator.sample(range(8), seed=2)
    mask = np.zeros((32, 32))
    mask[16:24, 8:16] = 1  # row 2, column 1 of the grid: place 9
    edit = Insert("blocks.1", [0, 5], values=[9.0, -9.0], region=mask)
    before, _ = draw(generator, latent)
    with intervene(generator, [edit]), trace(generator, ["blocks.1"]) as maps:
        after, _ = draw(generator, latent)
    assert torch.equal(before.flatten(1)[:, :9], after.flatten(1)[:, :9])
    assert not torch.equal(before.flatten(1)[:, 9], after.flatten(1)[:, 9])
    with trace(generator, ["blocks.1"]) as plain:
        draw(generator, latent)
    assert torch.equal(maps["blocks.1"].flatten(2)[..., :9], plain["blocks.1"].flatten(2)[..., :9])


def test_tracing_changes_no_bit(generator):
    latent = generator.sample(range(4), seed=0)
    image = generator.synthesize(latent)
    with trace(generator, "all") as maps:
        assert torch.equal(generator.synthesize(latent), image)
    assert {name: tuple(m.shape[1:]) for name, m in maps.items()} == {
        name: (info.units, info.height, info.width) for name, info in generator.layers.items()
    }


# Texts


def test_prompts_are_classes_and_mixtures_of_them(generator):
    again = generator.with_prompts(["night", "a house"], source="?prompts=x.txt")
    assert (again.n_classes, again.name) == (2, "tiny?prompts=x.txt")
    assert again.fingerprint != generator.fingerprint
    latent = generator.sample([5], seed=0, label=0)
    same = Latent("z", latent.data, torch.tensor([1]))
    assert torch.equal(generator.synthesize(latent), again.synthesize(same))
    mixed = Latent("z", latent.data, torch.tensor([[0.5, 0.5]]))
    assert again.synthesize(mixed).isfinite().all()


def test_a_file_and_a_text_as_prompts(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_dalle(make_weights(), path, half=False)
    lines = tmp_path / "lines.txt"
    lines.write_text("A tree.\n\n  night \n", encoding="utf-8")
    generator = load_generator(f"{path}?prompts={lines}")
    assert isinstance(generator, DalleGenerator)
    assert generator.prompts == ("A tree.", "night")
    assert (generator.family, generator.source.group) == ("DALL-E", "")
    alone = load_generator(f"{path}?prompt=night")
    latent = alone.sample([0], seed=0)
    second = Latent("z", latent.data, torch.tensor([1]))
    assert torch.equal(alone.synthesize(latent), generator.synthesize(second))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a hose", "'hose', which the generator has not learned; did you mean 'house'"),
        ("a a a a a", "5 words; expected at most 4"),
    ],
)
def test_texts_that_it_cannot_read(generator, text, message):
    with pytest.raises(GeneratorError, match=message) as caught:
        generator.with_prompts([text], source="")
    assert "\n" not in str(caught.value)


def test_prompts_for_generators_without_texts_and_files_without_lines(tmp_path):
    with pytest.raises(GeneratorError, match="takes no text"):
        load_generator("dissect.worlds.planted:generator?prompt=a tree")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n")
    save_dalle(make_weights(), tmp_path / "tiny.safetensors", half=False)
    for name, message in ((empty, "has 0 prompts"), (tmp_path / "none.txt", "cannot be read")):
        with pytest.raises(GeneratorError, match=message):
            load_generator(f"{tmp_path / 'tiny.safetensors'}?prompts={name}")


def test_words_and_tokens():
    assert split_words("A house, at night: 2 trees.") == ["a", "house", "at", "night", "2", "trees"]
    assert collect_words(["b a", "a c"]) == ("a", "b", "c")
    found = tokenise(["", "tree a"], SIZES)
    assert found.tolist() == [[4, 5, 6, 7], [3, 0, 6, 7]]  # each place has a padding of its own


# Files


def test_a_file_gives_the_same_generator(tmp_path):
    weights = make_weights(guidance=1.5, top_k=9)
    generator = DalleGenerator(make_weights(guidance=1.5, top_k=9), name="tiny")
    save_dalle(weights, tmp_path / "tiny.safetensors", half=False)
    again = load_generator(tmp_path / "tiny.safetensors")
    assert again.family == "DALL-E"
    assert again.fingerprint == generator.fingerprint
    latent = generator.sample([0, 1], seed=0)
    assert torch.equal(generator.synthesize(latent), again.synthesize(latent))


def test_settings_that_do_not_fit_are_refused():
    for settings, message in (
        ({"guidance": -1.0}, "guidance -1.0"),
        ({"top_k": 0}, "top_k 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            make_weights(**settings)
    with pytest.raises(ConfigError, match="expected the same"):
        DalleConfig(VAEConfig(size=64, n_codes=N_CODES), SIZES, PROMPTS)


# The autoencoder


def test_soft_codes_become_whole_ones_and_keep_their_probabilities():
    vae = DiscreteVAE(VAEConfig(size=16, n_codes=5, widths=(4, 4, 8)))
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0, 0.5]).reshape(1, 5, 1, 1).expand(3000, 5, 2, 2)
    draws = torch.Generator().manual_seed(0)
    hard = vae.soften(logits, temperature=1e-3, draws=draws)
    assert (hard.amax(dim=1) > 0.999).float().mean() > 0.99
    found = hard.argmax(dim=1).flatten().bincount(minlength=5) / 12000
    expected = logits[0, :, 0, 0].softmax(dim=0)
    assert ((found - expected).abs() < 4.5 * (expected / 12000).sqrt()).all()
    soft = vae.soften(logits[:2], temperature=50.0, draws=draws)
    assert (soft - 0.2).abs().max() < 0.1


def test_attention_of_later_queries_is_that_of_all():
    draws = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(2, 2, 5, 3, generator=draws) for _ in range(2))
    whole = attend(queries, keys)
    assert torch.allclose(whole[:, :, -1:], attend(queries[:, :, -1:], keys))
    assert torch.equal(whole.triu(1), torch.zeros_like(whole))
    assert torch.allclose(whole.sum(dim=-1), torch.ones(2, 2, 5))
