import json

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
