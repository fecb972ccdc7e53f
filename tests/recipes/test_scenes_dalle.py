"""The training of scenes-dalle: it resumes to the same bytes, and is measured by exact shares."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dissect import load_generator
from dissect.generators.dalle import DalleConfig, DalleGenerator
from dissect.generators.discrete_vae import VAEConfig
from dissect.generators.text_image_transformer import TransformerConfig, collect_words
from recipes.scenes_dalle.__main__ import code_use, reconstruction, release
from recipes.scenes_dalle.captions import prepare_captions
from recipes.scenes_dalle.measure import compare, list_facts
from recipes.scenes_dalle.reranking import Judged, shares
from recipes.scenes_dalle.train import as_images, encode, train_transformer, train_vae

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
N_CODES = 12
VAE = VAEConfig(size=16, n_codes=N_CODES, widths=(4, 6, 8))
CAPTIONS = [
    ["a tree", "a lake", "night", "a tree at night"] * 16,
    ["tree", "lake", "dark", "a"] * 16,
]


@pytest.fixture(scope="module")
def images():
    """Coloured halves, so that there is something to encode."""
    draws = np.random.default_rng(0)
    rows = draws.integers(0, 256, (64, 3, 1, 2), dtype=np.uint8)
    return np.kron(rows, np.ones((1, 1, 16, 8), dtype=np.uint8))


def steps(train, folder, *given, **settings):
    """Train one step at a time, each in a run of its own, to the end."""
    seen = -1
    while True:
        network, now = train(folder, *given, **settings, minutes=0)
        if now == seen:
            return network, now
        seen = now


def same(one, other):
    state = other.state_dict()
    return all(torch.equal(value, state[key]) for key, value in one.state_dict().items())


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    return train_vae(tmp_path_factory.mktemp("vae"), images, VAE, n_images=96)


@pytest.fixture(scope="module")
def sizes():
    words = collect_words([text for texts in CAPTIONS for text in texts])
    return TransformerConfig(words, 5, grid=2, n_codes=N_CODES, width=8, depth=2, n_heads=2)


def test_an_autoencoder_that_is_stopped_and_taken_up_gives_the_same_bytes(
    images, trained, tmp_path
):
    parts, seen = steps(train_vae, tmp_path / "parts", images, VAE, n_images=96)
    assert (seen, trained[1]) == (96, 96)
    assert same(trained[0], parts)
    torch.manual_seed(0)
    assert not same(type(parts)(VAE), parts)


def test_codes_are_in_range_and_decoded_as_the_encoder_chose_them(images, trained):
    vae = trained[0]
    codes = encode(vae, images)
    assert (codes.shape, codes.dtype) == ((64, 2, 2), np.int16)
    assert 0 <= codes.min() <= codes.max() < N_CODES
    pixels = as_images(images)
    assert pixels.abs().max() <= 1
    made = vae.decode(torch.from_numpy(codes.astype(np.int64)))
    error, flat = reconstruction(vae, pixels)
    assert error == pytest.approx(float((made - pixels).abs().mean()), rel=1e-5)
    assert flat == pytest.approx(
        float((pixels.mean(dim=(2, 3), keepdim=True) - pixels).abs().mean()), rel=1e-5
    )


def test_a_transformer_that_is_stopped_and_taken_up_gives_the_same_bytes_and_is_released(
    images, trained, sizes, tmp_path
):
    codes = encode(trained[0], images)
    given = (codes, CAPTIONS, sizes)
    whole, seen = train_transformer(tmp_path / "whole", *given, n_images=80)
    parts, again = steps(train_transformer, tmp_path / "parts", *given, n_images=80)
    assert seen == again == 80
    assert same(whole, parts)
    path = tmp_path / "tiny.safetensors"
    config = DalleConfig(VAE, sizes, ("a tree", "night"), guidance=2.0, top_k=6)
    generator = release(path, trained[0], whole, config)
    assert isinstance(load_generator(path), DalleGenerator)
    drawn = generator.synthesize(generator.sample(range(4), seed=0))
    assert drawn.shape == (4, 3, 16, 16)
    assert drawn.isfinite().all()


def test_how_many_codes_are_used_and_how_evenly():
    used, evenly = code_use(torch.tensor([[[0, 0], [3, 3]], [[0, 0], [3, 3]]]), 8)
    assert (used, evenly) == (2, pytest.approx(2.0))
    used, evenly = code_use(torch.tensor([0] * 3 + [1]), 4)
    assert (used, evenly) == (2, pytest.approx(4 / 3**0.75))  # exp of the entropy


def test_captions_are_written_once_and_read_again(tmp_path):
    found = prepare_captions(tmp_path, n_images=6, n_variants=2, seed=9)
    assert [len(texts) for texts in found] == [6, 6]
    (file,) = tmp_path.iterdir()
    file.write_text(json.dumps([["changed"]]))
    assert prepare_captions(tmp_path, n_images=6, n_variants=2, seed=9) == [["changed"]]


# Measuring


def test_shares_of_facts_are_those_of_a_count_by_hand():
    facts = list_facts()
    names = [fact.name for fact in facts]
    captions = ["a house at night", "a tree", "a house"]
    house, tree = names.index("house"), names.index("tree")
    said = [[fact.name for fact in facts if fact.is_said(text)] for text in captions]
    assert said == [["house", "night"], ["tree"], ["house"]]
    drawn = torch.zeros(3, len(facts), dtype=torch.bool)
    drawn[0, [house, tree]] = True
    drawn[1, tree] = True
    found = compare(captions, facts, drawn, torch.ones_like(drawn))
    assert found["house"] == {"n": 2, "said": 0.5, "chance": 0.0, "renders": 1.0}
    assert found["tree"] == {"n": 1, "said": 1.0, "chance": 0.5, "renders": 1.0}
    # Of the 4 statements house 0 and tree 1 hold; in another caption's image tree 1 and house 2 …
    assert found["all"]["n"] == 4
    assert found["all"]["said"] == 0.5
    # … of image 0 for caption 1: tree; of image 1 for caption 2 and of 2 for caption 0: none.
    assert found["all"]["chance"] == 0.25


def judged_by_chance(n_captions=5, n_samples=8, n_facts=6):
    draws = torch.Generator().manual_seed(3)
    said = torch.rand(n_captions, n_facts, generator=draws) < 0.5
    said[:, 0] = True
    true = torch.rand(n_captions, n_samples, n_facts, generator=draws) < 0.5
    cosines = torch.rand(n_captions, n_samples, n_captions, generator=draws)
    return Judged(said, true, cosines)


@pytest.mark.parametrize("k", [1, 2, 8])
def test_shares_of_re_ranked_samples_are_those_of_plain_loops(k):
    judged = judged_by_chance()
    n_captions, n_samples, _ = judged.true.shape
    sums = dict.fromkeys(("random", "nearest", "misled", "best", "chance"), 0.0)
    whole = 0
    for c in range(n_captions):

        def held(sample, of=c, c=c):
            return sum(
                bool(said and true)
                for said, true in zip(judged.said[c], judged.true[of, sample], strict=True)
            )  # fmt: skip

        for start in range(0, n_samples, k):
            group = range(start, start + k)
            whole += int(judged.said[c].sum())
            before, after = (c - 1) % n_captions, (c + 1) % n_captions
            sums["random"] += sum(map(held, group)) / k
            sums["nearest"] += held(max(group, key=lambda s: judged.cosines[c, s, c]))
            sums["misled"] += held(max(group, key=lambda s: judged.cosines[c, s, after]))
            sums["best"] += max(map(held, group))
            theirs = max(group, key=lambda s: judged.cosines[before, s, before])
            sums["chance"] += held(theirs, before)
    found = shares(judged, k)
    assert found["statements"] == whole
    for name, value in sums.items():
        assert found[name] == pytest.approx(value / whole), name


def test_a_ranking_by_the_truth_is_the_best_there_is_and_one_sample_leaves_no_choice():
    judged = judged_by_chance()
    counts = (judged.true & judged.said[:, None]).sum(dim=2)
    told = Judged(judged.said, judged.true, counts[..., None].expand(judged.cosines.shape).double())
    found = shares(told, 4)
    assert found["nearest"] == found["best"] > found["random"]
    assert found["low"] > 0
    alone = shares(judged, 1)
    assert alone["nearest"] == alone["random"] == alone["best"]
    assert (alone["low"], alone["high"]) == (0, 0)
    with pytest.raises(ValueError, match="expected a divisor of 8"):
        shares(judged, 3)


@pytest.mark.slow
def test_one_command_trains_and_measures(tmp_path):
    command = [sys.executable, "-m", "recipes.scenes_dalle", "--smoke", "--threads", "1"]
    done = subprocess.run(
        [*command, "--work", tmp_path / "work", "--out", tmp_path / "out"], cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["images"] == 64
    assert 0 <= last["said"] <= 1
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "scenes-dalle.md", "scenes-dalle.png", "scenes-dalle.safetensors",
    }  # fmt: skip
    assert "of its 512 codes" in (tmp_path / "out" / "scenes-dalle.md").read_text()
