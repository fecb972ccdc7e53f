import json

import numpy as np
import pytest
from PIL import Image

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
