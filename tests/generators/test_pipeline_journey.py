"""A person dissects a text-to-image folder from the command line, as docs/models.md shows it."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

from dissect import Ablate, Latent, intervene, load_generator, open_run, trace
from dissect.edits.recipes import read_recipe
from tests.generators.tiny_pipelines import library_images, save_pixart, save_stable_diffusion
from tests.rounding import assert_same

pytestmark = pytest.mark.usefixtures("one_thread")

DOCS = Path(__file__).resolve().parents[2] / "docs" / "models.md"
(BLOCK,) = re.findall(
    r"<!-- run by tests/generators/test_pipeline_journey.py -->\n```\n(.*?)```",
    DOCS.read_text(),
    re.DOTALL,
)
PROMPTS = ["a red house", "trees", "a house"]
LAYER = "t801/mid_block"
WORDS = f"{LAYER}.attentions.0.transformer_blocks.0.attn2"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the pipelines and a file of prompts, as a person has them."""
    home = tmp_path_factory.mktemp("home")
    save_stable_diffusion(home / "stable-diffusion", home / "tokenizer")
    save_pixart(home / "pixart")
    (home / "prompts.txt").write_text("\n".join(PROMPTS))
    return home


@pytest.fixture(scope="module")
def gone_through(home, command):
    """Everything that the commands of the page print, in their order."""
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for line in BLOCK.splitlines():
            words = shlex.split(line)
            assert words[0] == "dissect"
            done = command(*words[1:], "--quiet")
            assert done.returncode == 0, done.stderr
            assert "Loading weights" not in done.stderr
            printed.append(done.stdout)
    return printed


@pytest.fixture
def generator(home, gone_through, monkeypatch):
    monkeypatch.chdir(home)
    return load_generator(open_run("runs/sd").config.generator)


def test_inspect_lists_prompts_and_the_words_of_attention(gone_through):
    assert "3 prompts\n  prompt: 'a red house'; 'trees'; 'a house'\n" in gone_through[0]
    assert "word of each unit of attention: <|startoftext|>, a</w>, r, e, d</w>" in gone_through[0]
    assert "assumed: steps: 5, DDIM's" in gone_through[0]
    assert "assumed: guidance: 7.5" in gone_through[0]


def test_the_run_knows_what_units_stand_for_and_what_samples_were_drawn_for(
    home, generator, gone_through
):
    run = open_run(home / "runs/sd")
    assert list(run.layers) == [WORDS, LAYER]
    assert run.layers[WORDS].unit_names == generator.words
    assert run.layers[LAYER].unit_names == ()
    labels = generator.sample(range(64), seed=0).label
    assert run.prompts_of(list(range(64))) == [PROMPTS[label] for label in labels]
    table = gone_through[2]
    assert re.search(r"^layer +unit  stands for +concept ", table, re.MULTILINE)
    unit = generator.words.index("d</w>")
    assert re.search(rf"{re.escape(WORDS)} +{unit}  d</w> ", table)
    report = (home / "runs/sd/report/index.html").read_text()
    (inside,) = re.findall(r'id="run">(.*?)</script>', report, re.DOTALL)
    given = json.loads(inside)
    place = [layer["name"] for layer in given["layers"]].index(WORDS)
    assert given["unit_names"][place] == list(generator.words)
    shown = run.array(WORDS, "top_indices").values[unit].tolist()
    assert [given["prompts"][str(sample)] for sample in shown] == run.prompts_of(shown)


def test_unedited_images_are_the_library_s_and_an_ablation_of_nothing_changes_none(home, generator):
    latent = generator.sample(range(3), seed=0)
    texts = [PROMPTS[label] for label in latent.label]
    theirs = library_images(
        home / "stable-diffusion", latent.data, texts, num_inference_steps=5, guidance_scale=7.5
    )
    plain = generator.synthesize(latent)
    assert_same((plain / 2 + 0.5).clamp(0, 1), theirs)
    trees = Latent("z", latent.data, torch.ones(3, dtype=torch.int64))
    alone = generator.synthesize(trees)
    lacking = [generator.words.index(word) for word in ("a</w>", "d</w>", "h", "u")]
    with intervene(generator, [Ablate(WORDS, lacking)]):
        assert_same(generator.synthesize(trees), alone)
    with intervene(generator, [Ablate(WORDS, [generator.words.index("t")])]):
        assert not torch.equal(generator.synthesize(trees), alone)


@pytest.mark.parametrize("layer", [LAYER, WORDS])
def test_what_ablate_stored_removes_its_units_at_its_step_and_nothing_before(
    home, generator, layer
):
    recipes = [
        read_recipe((one / "recipe.json").read_bytes())
        for one in (home / "runs/sd/effects").glob("ablate*")
    ]
    edits = [edit for recipe in recipes for edit in recipe if isinstance(edit, Ablate)]
    (edit,) = (edit for edit in edits if edit.layer == layer)
    units = list(edit.units)
    others = [unit for unit in range(generator.layers[layer].units) if unit not in units]
    step = LAYER.removeprefix("t801/")
    names = ["t801/down_blocks.1", layer, f"t601/{step}"]
    latent = generator.sample(range(2), seed=0)
    with trace(generator, names) as plain:
        generator.synthesize(latent)
    with intervene(generator, [edit]), trace(generator, names) as edited:
        generator.synthesize(latent)
    assert torch.equal(edited[names[0]], plain[names[0]])
    assert (edited[layer][:, units] == 0).all()
    assert torch.equal(edited[layer][:, others], plain[layer][:, others])
    assert not torch.equal(edited[names[2]], plain[names[2]])


def test_a_transformer_s_folder_goes_the_same_way(home, command, monkeypatch):
    monkeypatch.chdir(home)
    given = ("pixart?prompt=a red house", "--segmenter", "colour", "--samples", 32, "--quiet")
    layers = "t749/transformer_blocks.1,t749/transformer_blocks.1.attn2"
    done = command("run", *given, "--layers", layers, "--out", "runs/pixart")
    assert done.returncode == 0, done.stderr
    run = open_run("runs/pixart")
    assert set(run.prompts_of([0, 31])) == {"a red house"}
    assert run.layers["t749/transformer_blocks.1.attn2"].unit_names[:3] == ("a", "red", "house")
    layer = ("--layer", "t749/transformer_blocks.1", "--samples", 16, "--search", 8, "--draws", 1)
    done = command("insert", "runs/pixart", "--concept", "red", "--units", 2, *layer, "--quiet")
    assert done.returncode == 0, done.stderr
    assert "net added" in done.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--prompts", "none.txt"), "none.txt cannot be read"),
        (("--prompts", "prompts.txt", "--images", "."), "both --prompts and --images were given"),
    ],
)
def test_a_mistake_with_prompts_is_one_line(home, command, monkeypatch, given, said):
    monkeypatch.chdir(home)
    done = command("run", "stable-diffusion", "--segmenter", "colour", "--out", "runs/no", *given)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
