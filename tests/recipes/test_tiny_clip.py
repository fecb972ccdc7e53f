"""The training of scenes-clip: truth from facts, a loss that is lowest at it, exact scores."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed")

from dissect.worlds import Caption, render_scenes, scene_facts  # noqa: E402
from recipes.tiny_clip.crops import Renders, render_once  # noqa: E402
from recipes.tiny_clip.train import (  # noqa: E402
    MODEL,
    Pairs,
    Words,
    area_under_curve,
    contrast,
    cut_crops,
    encode_places,
    encode_texts,
    load_start,
    make_model,
    release,
    truth_table,
)
from segmenters.clip_models import load_clip  # noqa: E402
from segmenters.scenes_vocabulary import ATTRIBUTES  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_caption_is_true_of_images_that_have_all_of_its_facts():
    captions = [Caption("", frozenset(said)) for said in (["a"], ["a", "b"], ["c"])]
    facts = [frozenset("ab"), frozenset("a"), frozenset("cd")]
    expected = [[True, True, False], [True, False, False], [False, False, True]]
    assert truth_table(facts, captions).tolist() == expected


def test_with_one_truth_a_row_the_loss_is_that_of_clip_and_with_several_it_is_lowest_at_the_truth():
    draws = torch.Generator().manual_seed(0)
    similarity = torch.randn(5, 5, generator=draws)
    own = torch.nn.functional.cross_entropy
    expected = (own(similarity, torch.arange(5)) + own(similarity.T, torch.arange(5))) / 2
    assert torch.allclose(contrast(similarity, torch.eye(5) > 0), expected)
    truth = torch.rand(6, 8, generator=draws) < 0.4
    best = contrast(60.0 * truth, truth)
    for _ in range(5):
        other = truth.clone()
        flipped = torch.randint(6 * 8, (3,), generator=draws)
        other.view(-1)[flipped] = ~other.view(-1)[flipped]
        assert contrast(60.0 * other, truth) > best + 0.1


def test_a_pair_is_a_question_and_its_loss_is_lowest_at_the_truth():
    truth = torch.rand(6, 8, generator=torch.Generator().manual_seed(0)) < 0.4
    pairs = Pairs()
    cosines = torch.where(truth, 0.9, -0.3).requires_grad_()
    loss = pairs(cosines, truth)
    loss.backward()
    assert torch.equal(cosines.grad < 0, truth)  # up where it is true, down where it is not
    logits = 10 * cosines.detach() - 3
    guess = logits.sigmoid()
    expected = -torch.where(truth, guess, 1 - guess).log().mean()
    assert torch.allclose(loss, expected, atol=1e-5)


def test_texts_without_padding_and_places_give_the_towers_own_vectors():
    words = Words()
    model = make_model(len(words.ids)).eval()
    tokens = words(["snow", "a small brick house on the left with lit windows, at night"])
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        own = model.encode_text(tokens, normalize=True)
        assert torch.allclose(encode_texts(model, tokens), own, atol=1e-5)
        places = encode_places(model, images)
        assert places.shape == (3, 4, 128)
        assert torch.allclose(places.mean(dim=1), model.encode_image(images), atol=1e-5)


def test_a_place_has_the_facts_of_its_quarter(tmp_path):
    render_once(tmp_path / "r.npz", n_images=8, seed=1)
    batch = Renders(tmp_path / "r.npz").batch(range(8), seed=0, step=0)
    assert len(batch.places) == 4 * len(batch.facts)
    things = {"house", "tree", "water", "road"}
    for k, whole in enumerate(batch.facts):
        quarters = batch.places[4 * k : 4 * k + 4]
        # What is seen in the whole is seen in a quarter: its share is largest in one of them.
        assert whole & things <= frozenset.union(*quarters) & things
        assert not (frozenset.union(*quarters) & {"small house", "large house", "many trees"})
    tops = [batch.places[4 * k + n] for k in range(8) for n in (0, 1)]
    bottoms = [batch.places[4 * k + n] for k in range(8) for n in (2, 3)]
    assert sum("sky" in one for one in tops) > sum("sky" in one for one in bottoms)


def test_crops_are_captioned_by_what_they_show_and_never_by_what_they_cannot(tmp_path):
    render_once(tmp_path / "r.npz", n_images=24, seed=1)
    renders = Renders(tmp_path / "r.npz")
    assert len(renders) == 24
    said = set()
    for step in range(4):
        batch = renders.batch(range(24), seed=0, step=step)
        assert batch.images.shape == (24, 3, 64, 64)
        for caption, facts in zip(batch.captions, batch.facts, strict=True):
            assert caption.facts <= facts
            said |= facts
    again = renders.batch(range(24), seed=0, step=3)
    assert torch.equal(again.images, batch.images)
    assert again.captions == batch.captions
    # A quarter of a scene shows fewer things than the scene.
    small = Renders(tmp_path / "r.npz")
    whole = scene_facts(render_scenes(range(24), seed=1, size=96))
    assert sum(map(len, batch.facts)) < sum(map(len, whole))
    assert len(small.attributes[0]) == len(ATTRIBUTES)


def test_squares_of_renders_have_the_facts_that_they_show():
    scenes = render_scenes(range(6), seed=1)
    images, facts = cut_crops(scenes, np.random.default_rng(0))
    assert images.shape == (12, 3, 64, 64)
    for k, own in enumerate(facts):
        whole = scene_facts(scenes)[k // 2]
        assert {"night", "day", "fog"} & own == {"night", "day", "fog"} & whole
        assert not own & {"small house", "large house", "many trees", "house on the left"}


def test_the_area_is_that_of_another_library():
    draws = np.random.default_rng(0)
    scores, held = draws.integers(0, 9, 80).astype(float), draws.random(80) < 0.3
    assert area_under_curve(scores, held) == pytest.approx(roc_auc_score(held, scores))


def test_a_release_is_read_by_open_clip_and_gives_the_texts_of_the_trained_towers(tmp_path):
    words = Words()
    model = make_model(len(words.ids)).half().float().eval()
    release(model, tmp_path / "c")
    assert json.loads((tmp_path / "c" / "open_clip_config.json").read_text())["model_cfg"] == MODEL
    texts = ["a house at night", "clouds"]
    network = open_clip.create_model(f"local-dir:{tmp_path / 'c'}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'c'}")(texts)
    with torch.no_grad():
        theirs = network.encode_text(tokens, normalize=True)
        trained = model.encode_text(words(texts), normalize=True)
    assert torch.allclose(theirs, trained, atol=1e-4)
    start = make_model(len(words.ids)).eval()
    start.logit_scale.data.fill_(0)
    start.text.token_embedding.weight.data.fill_(0)
    load_start(start, tmp_path / "c", words.ids)
    for name, value in model.state_dict().items():
        assert torch.allclose(start.state_dict()[name].float(), value.float(), atol=1e-3), name
    clip = load_clip(str(tmp_path / "c"))
    assert clip.unknown_words("a dragon at night") == ["dragon"]
    assert "a photo of {}" not in clip.known_templates()
    with pytest.raises(ValueError, match="not counted"):
        words(["a dragon"])
