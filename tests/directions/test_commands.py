import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dissect.directions import read_direction
from dissect.generators.stylegan2 import StyleGAN2Config, StyleGAN2Network, save_stylegan2

WORLD = "tests.directions.worlds:generator"
READER = "tests.directions.worlds:predictor"
QUICK = ("--n-samples", 80, "--images", 16, "--draws", 2)


def size(path):
    with Image.open(path) as picture:
        return picture.size


@pytest.fixture(scope="module")
def folder(command, tmp_path_factory):
    out = tmp_path_factory.mktemp("directions") / "painted"
    done = command("directions", "fit", WORLD, "--predictor", READER, "--out", out, *QUICK, "-q")
    assert done.returncode == 0, done.stderr
    assert "red +" in done.stdout
    return out


def test_fit_finds_names_and_draws_directions(command, folder):
    done = command("directions", "show", folder, "--json")
    found = json.loads(done.stdout)
    assert [one["name"] for one in found["directions"]] == ["red", "green", "blue"]
    assert found["directions"][0]["changes"] == "red +"
    assert found["directions"][0]["settings"]["accuracy"]["held_out"][0] > 0.8
    assert size(folder / "000.webp") == size(folder / "random.webp")
    listed = command("directions", "list", folder).stdout
    assert "red +" in listed
    assert len(listed.splitlines()) == 4


def test_score_adds_a_card_and_keeps_the_files(command, folder):
    before = (folder / "000.safetensors").read_bytes()
    done = command(
        "directions", "score", WORLD, folder, "--predictor", READER, "--card", "red,blue=green",
        "--images", 16, "--draws", 2, "-q", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cards = json.loads(done.stdout)["cards"]
    assert (cards["red"]["target"], cards["blue"]["target"]) == ("red", "green")
    assert (folder / "000.safetensors").read_bytes() == before
    assert "monotone" in command("directions", "show", folder).stdout


def test_apply_draws_a_strip(command, folder, tmp_path):
    out = tmp_path / "strip.webp"
    done = command(
        "directions", "apply", WORLD, folder, "red", "--out", out, "--strengths=-1,0,1",
        "--rows", 2, "--tile", 32,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert size(out) == (3 * 34 - 2, 2 * 34 - 2)


def test_a_run_keeps_its_directions_and_lists_them(command, planted_run, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(planted_run.path, run)
    given = ("--generator", "dissect.worlds.planted:generator")
    done = command("directions", "fit", run, "--method", "sefa", "--n-directions", 2, *given, "-q")
    assert done.returncode == 0, done.stderr
    assert (run / "directions" / "sefa" / "directions.json").is_file()
    listed = command("directions", "list", run)
    assert "not scored" in listed.stdout
    assert listed.stdout.count("sefa 1") == 1


def test_disentangle_prints_a_table_with_intervals(command):
    given = ("disentangle", WORLD, "--predictor", READER, "--n-samples", 200, "--images", 16, "-q")
    text = command(*given, "--trees", 5)
    assert text.returncode == 0, text.stderr
    assert "published D" in text.stdout
    (row,) = json.loads(command(*given, "--trees", 5, "--json").stdout)["spaces"]
    assert (row["space"], row["codes"], row["published"]) == ("z", 40, 0.31)
    low, high = (row["disentanglement"][name] for name in ("low", "high"))
    assert low <= row["disentanglement"]["value"] <= high


def test_a_boundary_of_another_program_becomes_a_direction_a_recipe_and_a_file_again(
    command, tmp_path, planted_run
):
    vector = np.zeros((1, 40), np.float32)
    vector[0, 0] = 1
    np.save(tmp_path / "red_boundary.npy", vector)
    out = tmp_path / "imported"
    done = command("directions", "import", WORLD, tmp_path / "red_boundary.npy", "--out", out, "-q")
    assert done.returncode == 0, done.stderr
    assert (out / "000.webp").is_file()
    scored = command(
        "directions", "score", WORLD, out, "--predictor", READER, "--images", 16, "--draws", 2,
        "-q", "--json",
    )  # fmt: skip
    assert json.loads(scored.stdout)["directions"][0]["changes"] == "red +"
    again = tmp_path / "again.npy"
    assert command("directions", "export", out, "red", "--out", again).returncode == 0
    assert np.array_equal(np.load(again, allow_pickle=False), vector)
    for name in ("all.npz", "recipe.json"):
        made = command("directions", "export", out, "--strength", 2, "--out", tmp_path / name)
        assert made.returncode == 0, made.stderr
    (move,) = json.loads((tmp_path / "recipe.json").read_text())
    assert (move["edit"], move["mode"], move["strength"]) == ("move", "set", 2.0)
    odd = command("directions", "export", out, "--out", tmp_path / "x.txt")
    assert (odd.returncode, odd.stderr.count("\n")) == (2, 1)


def test_directions_are_fitted_to_scores_by_sample(command, tmp_path):
    from tests.directions.worlds import generator

    codes = generator().sample(range(80), seed=0).data.flatten(1)
    rows = [f"{k},{code[0]:.6f}" for k, code in enumerate(codes)]
    (tmp_path / "scores.csv").write_text("\n".join(["sample,redness", *rows]))
    given = ("--n-samples", 80, "--images", 16, "--draws", 2, "-q", "--json")
    scores = ("--predictor", f"{tmp_path / 'scores.csv'}")
    done = command("directions", "fit", WORLD, *scores, "--out", tmp_path / "alone", *given)
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in json.loads(done.stdout)["directions"]] == ["redness"]
    both = ("--predictor", f"{tmp_path / 'scores.csv'},{READER}", "--attributes", "redness")
    done = command("directions", "fit", WORLD, *both, "--out", tmp_path / "both", *given)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["directions"]
    assert found["changes"] == "red +"
    done = command("directions", "score", WORLD, tmp_path / "both", *scores, "-q")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "edited images were to be read" in done.stderr


@pytest.fixture(scope="module")
def styled_file(tmp_path_factory):
    torch.manual_seed(0)
    config = StyleGAN2Config(16, (8, 8, 8), z_size=8, w_size=8, mapping_depth=2)
    network = StyleGAN2Network(config)
    with torch.no_grad():  # images inside [-1, 1]
        for side in (4, 8, 16):
            network.synthesis.block(side).torgb.weight.mul_(0.3)
    path = tmp_path_factory.mktemp("networks") / "tiny.safetensors"
    save_stylegan2(network, path)
    return path


def test_a_table_of_styleclip_becomes_a_direction_and_a_file_again(command, tmp_path, styled_file):
    from dissect.generators.families import load_file

    slices = load_file(styled_file, name="tiny").style_slices
    n = sum(one.stop - one.start for name, one in slices.items() if "torgb" not in name)
    random = np.random.default_rng(0)
    np.save(tmp_path / "fs3.npy", random.standard_normal((n, 512)))
    np.save(tmp_path / "smile.npy", random.standard_normal(512))
    text = ("--format", "fs3", "--text", tmp_path / "smile.npy")
    table, out = tmp_path / "fs3.npy", tmp_path / "smile"
    done = command("directions", "import", styled_file, table, *text, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "smile (s)" in done.stdout
    again = tmp_path / "again.npy"
    export = ("directions", "export", out, "smile", *text, "--out", again)
    assert command(*export, "--generator", styled_file).returncode == 0
    whole = (*text, "--relevance", 0)
    done = command("directions", "import", styled_file, again, *whole, "--out", tmp_path / "twice")
    assert done.returncode == 0, done.stderr
    vectors = [
        read_direction(folder / "000.safetensors").vector for folder in (out, tmp_path / "twice")
    ]
    assert np.allclose(*vectors, rtol=1e-4, atol=1e-6)
    for arguments in (export, ("directions", "import", styled_file, table, "--format", "fs3",
                               "--out", tmp_path / "no text")):  # fmt: skip
        odd = command(*arguments)
        assert (odd.returncode, odd.stderr.count("\n")) == (2, 1)
        assert "--text FILE.npy" in odd.stderr


def test_the_bottleneck_of_a_diffusion_model_takes_the_same_commands(
    command, tmp_path, checkpoints
):
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    model, out = checkpoints / "diffusers_ddpm16", tmp_path / "h"
    given = ("--method", "hspace", "--predictor", READER, "--n-samples", 40, "--attributes", "red")
    quick = ("--images", 8, "--draws", 1, "-q")
    done = command("directions", "fit", model, *given, "--out", out, *quick)
    assert done.returncode == 0, done.stderr
    one = read_direction(out / "000.safetensors")
    assert (one.space, one.steps) == ("mid_block", (800, 600, 400, 200, 0))
    assert len(one.vector) == 5
    assert "red" in command("directions", "list", out).stdout
    scored = command(
        "directions", "score", model, out, "--predictor", READER, "--card", "red", *quick, "--json"
    )
    assert json.loads(scored.stdout)["cards"]["red"]["method"] == "hspace"
    strip, recipe = tmp_path / "h.webp", tmp_path / "h.json"
    shown = ("--rows", 1, "--tile", 16, "--strengths=0,40", "--out", strip)
    assert command("directions", "apply", model, out, "red", *shown).returncode == 0
    with Image.open(strip) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(pixels[:, :16] - pixels[:, 18:]).mean() > 2
    assert command("directions", "export", out, "red", "--out", recipe).returncode == 0
    spaces = [move["space"] for move in json.loads(recipe.read_text())]
    assert spaces == [f"t{step}/mid_block" for step in one.steps]
    alone = ("--method", "hspace", "--n-directions", 2, "--n-samples", 40, "--out", tmp_path / "c")
    assert "h component 2" in command("directions", "fit", model, *alone, "-q").stdout
    odd = command("directions", "fit", WORLD, *alone, "-q")
    assert (odd.returncode, odd.stderr.count("\n")) == (2, 1)
    assert "no h-space" in odd.stderr


@pytest.mark.parametrize("how", [{"truncation": 0.3}, {"label": 2}])
def test_samples_of_a_run_are_drawn_as_the_run_says(
    command, tmp_path, styled_file, checkpoints, how
):
    """A step of 0 shows the run's own images, and not those of a run that says nothing."""
    from dissect import dissect, load_generator
    from dissect.counting.samples import make_images
    from dissect.pictures import to_picture

    spec = str(styled_file if "truncation" in how else checkpoints / "biggan_hf32")
    run = dissect(spec, "colour", out=tmp_path / "run", n_samples=16, progress=False, **how)
    given = ("--method", "sefa", "--n-directions", 1, "-q")
    done = command("directions", "fit", run.path, *given)
    assert done.returncode == 0, done.stderr
    found, strip = run.path / "directions" / "sefa", tmp_path / "strip.webp"
    side = load_generator(spec).image_size
    shown = ("--rows", 1, "--strengths=0", "--tile", side, "--first", 5, "--out", strip)
    assert command("directions", "apply", run.path, found, 0, *shown).returncode == 0
    (settings,) = json.loads(command("directions", "show", found, "--json").stdout)["directions"]
    assert how.items() <= settings["settings"].items()

    def apart(config):
        (image,) = make_images(load_generator(spec), config, [5])
        with Image.open(strip) as picture:
            shown = np.asarray(picture.convert("RGB")).astype(int)
        return np.abs(shown - np.asarray(to_picture(image))).mean()

    plain = replace(run.config, truncation=1.0, label=None)
    assert apart(run.config) < 12  # what WebP loses of a noisy image
    assert apart(plain) > 2 * apart(run.config)


def test_directions_in_z_cannot_move_truncated_samples_of_w(command, tmp_path, styled_file):
    given = ("--predictor", READER, "--space", "z", "--truncation", "0.5", "--out", tmp_path / "x")
    odd = command("directions", "fit", styled_file, *given, "-q")
    assert (odd.returncode, odd.stderr.count("\n")) == (2, 1)
    assert "which start in w+" in odd.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fit", WORLD, "--out", "x"], "was given no predictor of attributes"),
        (["fit", WORLD, "--predictor", READER], "was given no folder to write"),
        (["fit", WORLD, "--predictor", READER, "--out", "x", "--space", "w"], "space 'w' is not"),
        (["fit", WORLD, "--predictor", READER.replace("predictor", "constant"), "--out", "x",
          "--attributes", "red", *map(str, QUICK)], "the same in all samples"),
        (["fit", WORLD, "--predictor", READER.replace("predictor", "short"), "--out", "x"],
         "gave values of shape"),
        (["fit", WORLD, "--method", "sefe", "--out", "x"], "did you mean 'sefa'"),
        (["fit"], "was given 0 names; expected one: fit GENERATOR or RUN"),
        (["show", "nowhere"], "holds no directions"),
        (["import", WORLD, "none.npy", "--out", "x"], "cannot be read"),
        (["import", WORLD, "none.npy", "--format", "gan"], "expected"),
        (["list", "nowhere"], "holds no directions"),
        (["score", WORLD, "nowhere", "--predictor", READER], "holds no directions"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(command, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    done = command("directions", *arguments, "-q")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert line in done.stderr


def test_a_boundary_of_another_generator_is_refused(command, folder):
    other = "dissect.worlds.planted:generator"
    done = command("directions", "score", other, folder, "--predictor", READER, "-q")
    assert done.returncode == 2
    assert "expected" in done.stderr
    assert done.stderr.count("\n") == 1
