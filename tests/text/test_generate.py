"""``dissect text generate`` as a person uses it, with a scorer whose truth is planted."""

import json

import pytest
import torch
from PIL import Image

from dissect import load_generator
from dissect.cli import main
from dissect.generators.dalle import save_dalle
from dissect.text import reranking
from dissect.text.reranking import rerank
from dissect.text.scorer import TextScorer
from tests.generators.test_dalle import make_weights

pytestmark = pytest.mark.usefixtures("one_thread")


class Brightness:
    """Towers for which every text is near a bright image; ``night`` is near a dark one."""

    name, fingerprint = "brightness", "0" * 64
    known = ("a", "house", "night", "tree", "moon")

    def encode_images(self, images):
        angle = images.mean(dim=(1, 2, 3)).clamp(-1, 1)
        return torch.stack([angle, (1 - angle**2).sqrt()], dim=1)

    def encode_texts(self, texts, *, templates):
        return torch.tensor([[-1.0 if "night" in text else 1.0, 0.0] for text in texts])

    def known_templates(self):
        return ("{}",)

    def unknown_words(self, text):
        return [word for word in text.split() if word not in self.known]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("dalle") / "tiny.safetensors"
    save_dalle(make_weights(guidance=2.0), path, half=False)
    return path


@pytest.fixture(autouse=True)
def brightness(monkeypatch):
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    monkeypatch.setattr("segmenters.clip_models.load_clip", lambda *_, **__: Brightness())


def generate(file, text, out, capsys, *options):
    given = ["text", "generate", file, text, "--out", out, *options, "--quiet", "--json"]
    assert main([str(one) for one in given]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("text", "sign"), [("a house", 1), ("a night", -1)])
def test_the_nearest_samples_of_the_text_come_first(file, tmp_path, capsys, text, sign):
    out = tmp_path / "g.png"
    found = generate(file, text, out, capsys, "--samples", 10, "--keep", 3, "--seed", 5)
    generator = load_generator(f"{file}?prompt={text}")
    images = generator.synthesize(generator.sample(range(10), seed=5)).clamp(-1, 1)
    near = sign * images.mean(dim=(1, 2, 3))
    expected = near.argsort(descending=True)[:3]
    assert [one["sample"] for one in found["kept"]] == expected.tolist()
    cosines = [one["cosine"] for one in found["kept"]]
    assert cosines == pytest.approx(near[expected].tolist(), abs=1e-5)
    assert cosines == sorted(cosines, reverse=True)
    with Image.open(out) as picture:
        assert picture.width >= 3 * 32


def test_a_seed_gives_the_same_samples_whatever_the_batch_and_another_seed_others(
    file, tmp_path, capsys, monkeypatch
):
    names = [tmp_path / f"{k}.png" for k in range(4)]
    options = ("--samples", 9, "--keep", 9)
    first = generate(file, "a house", names[0], capsys, *options)
    again = generate(file, "a house", names[1], capsys, *options)
    assert names[0].read_bytes() == names[1].read_bytes()
    assert first["kept"] == again["kept"]
    monkeypatch.setattr(reranking, "_BATCH", 2)
    parts = generate(file, "a house", names[2], capsys, *options)
    of_sample = [{one["sample"]: one["cosine"] for one in g["kept"]} for g in (first, parts)]
    assert of_sample[0] == pytest.approx(of_sample[1], abs=1e-6)
    other = generate(file, "a house", names[3], capsys, *options, "--seed", 1)
    assert names[3].read_bytes() != names[0].read_bytes()
    assert {one["cosine"] for one in other["kept"]} != {one["cosine"] for one in first["kept"]}


def test_more_samples_only_add_to_what_fewer_had(file):
    generator = load_generator(f"{file}?prompt=a tree")
    scorer = TextScorer(Brightness())
    few, many = (rerank(generator, scorer, "a tree", n_samples=n, keep=n, seed=2) for n in (4, 12))
    of_many = dict(zip(many.indices, many.cosines, strict=True))
    for index, cosine in zip(few.indices, few.cosines, strict=True):
        assert of_many[index] == pytest.approx(cosine, abs=1e-6)
    assert max(many.cosines) >= max(few.cosines)


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (("a", "tree"), (), "text generate was given 2 texts; expected one, in quotes"),
        (("a dragon",), (), "brightness never saw the word 'dragon'"),
        (("a moon",), (), "has the word 'moon', which the generator has not learned"),
        (("  ",), (), "the text is ' '; expected words"),
        (("a a a a a",), (), "has 5 words; expected at most 4"),
        (("a tree",), ("--samples", 2, "--keep", 3), "3 of 2 samples were to be kept"),
        (("a tree",), ("--keep", 0), "keep is 0"),
        (("a tree",), ("--model", ""), "model is ''"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(file, tmp_path, capsys, words, options, said):
    given = ["text", "generate", file, *words, "--out", tmp_path / "o.png", *options, "--quiet"]
    try:
        status = main([str(one) for one in given])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o.png").exists()


def test_a_generator_without_texts_is_refused_in_a_line(tmp_path, capsys):
    given = ["text", "generate", "dissect.worlds.planted:generator", "night"]
    assert main([*given, "--out", str(tmp_path / "o.png"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert "takes no text; expected a generator of texts, such as scenes-dalle" in error
    assert error.count("\n") == 1
