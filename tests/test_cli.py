import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import patience

ROOT = Path(__file__).resolve().parents[1]

PLANTED = "dissect.worlds.planted:generator"


def one_line(text):
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text


@pytest.fixture(scope="module")
def run_folder(command, tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "R"
    done = command("run", PLANTED, "--segmenter", "colour", "--samples", 64, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from dissect.cli import build_parser; build_parser(complete=True); "
        "sys.exit(bool({'torch', 'numpy', 'zarr', 'numba'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_imports_no_library_of_models_that_it_does_not_use(tmp_path):
    code = (
        "import sys; from dissect.cli import main; main(sys.argv[1:]); "
        "print(sorted({'timm', 'segmentation_models_pytorch', 'torchvision', 'transformers', "
        "'diffusers', 'sklearn', 'ray', 'dash'} & set(sys.modules)))"
    )
    arguments = [
        *("run", "dissect.worlds.planted:generator", "--segmenter", "colour", "--samples", "16"),
        *("--out", str(tmp_path / "r"), "--quiet"),
    ]
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines()[-1:] == ["[]"], ended.stderr


def test_run_prints_one_object_with_units_named_and_concepts_for_each_layer(run_folder):
    _, summary = run_folder
    layer = summary["layers"]["units"]
    assert layer["units"] == 9
    assert layer["named"] == sum(layer["concepts"].values())
    assert layer["concepts"]["red"] == 2  # the unit that draws it, and the one that is half of it


def test_show_gives_the_same_object(command, run_folder):
    out, summary = run_folder
    done = command("show", out, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == summary


def test_show_selects_by_layer_and_concept(command, run_folder):
    out, _ = run_folder
    done = command("show", out, "--layer", "units", "--concept", "red", "--json")
    rows = json.loads(done.stdout)["rows"]
    assert [row["unit"] for row in rows[:2]] == [0, 5]
    assert [row["iou"] for row in rows[:2]] == [1.0, 0.5]
    assert [row["named"] for row in rows if row["unit"] in (1, 8)] in (["green", ""], ["", "green"])
    assert len(rows) == 9
    csv = command("show", out, "--concept", "red", "--csv").stdout.splitlines()
    assert csv[0].startswith("layer,unit,concept,category,iou,iou_low")
    assert len(csv) == 10
    text = command("show", out, "--rows", 3).stdout
    assert "6 of 9" in text
    assert "… 6 more" in text


def test_report_writes_a_page(command, run_folder):
    out, _ = run_folder
    done = command("report", out, "--json")
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)["report"]
    assert page == str(out / "report" / "index.html")
    assert (out / "report" / "index.html").is_file()
    # The run is still whole with the report in it.
    assert command("show", out).returncode == 0


def test_inspect_lists_spaces_and_layers(command):
    found = json.loads(command("inspect", PLANTED, "--json").stdout)
    assert found["layers"]["units"] == {"units": 9, "height": 32, "width": 32}
    assert found["spaces"] == {"z": [23]}
    assert "layer units" in command("inspect", PLANTED).stdout


def test_inspect_raw_tells_what_a_file_of_no_known_family_holds(capsys, tmp_path):
    import torch

    from dissect.cli import main

    content = {"net": {f"w{i}": torch.ones(2, i) for i in range(50)}, "it\x1b[m": float("nan")}
    torch.save(content | {"half": "\ud800"}, tmp_path / "f.pt")
    given = ["inspect", str(tmp_path / "f.pt"), "--raw"]
    assert main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["container"] == "torch"
    assert found["groups"] == {"net": {"tensors": 50, "bytes": 2 * 4 * sum(range(50))}}
    assert found["tensors"]["net/w3"] == {"shape": [2, 3], "dtype": "float32"}
    assert found["attributes"] == {"it\x1b[m": "nan", "half": "\\ud800"}
    assert "torch.FloatStorage" in found["globals"]
    assert main(given) == 0
    text = capsys.readouterr().out
    assert "tensor net/w39  2 × 39  float32" in text
    assert "… 10 more tensors" in text
    assert "\x1b" not in text
    assert "names torch.FloatStorage" in text
    assert main(["inspect", str(tmp_path / "none.pt"), "--raw"]) == 2
    assert "is not a file" in one_line(capsys.readouterr().err)


def test_zoo_lists_generators_and_segmenters(command, tmp_path, monkeypatch):
    monkeypatch.setenv("DISSECT_CACHE", str(tmp_path))
    found = json.loads(command("zoo", "--json").stdout)
    names = [entry["name"] for entry in found["generators"]]
    assert "faces-dcgan" in names
    assert not found["generators"][names.index("faces-dcgan")]["at_hand"]
    for name in ("scenes-stylegan2", "scenes-pggan"):
        assert found["generators"][names.index(name)]["at_hand"]
    assert found["predictors"][0]["name"] == "scenes"
    assert {"faces", "colour"} <= {entry["name"] for entry in found["segmenters"]}
    assert not found["predictors"][1]["at_hand"]
    assert {"FILE.csv", "areas:SEGMENTER"} <= {entry["form"] for entry in found["own"]}
    text = command("zoo").stdout
    for name in ("faces-dcgan", "faces-attributes", "vgg16"):
        assert f"dissect zoo get {name}" in text
    card = command("zoo", "card", "faces-attributes").stdout
    assert "two classes" in card
    assert json.loads(command("zoo", "card", "identity", "--json").stdout)["name"] == "identity"


def test_a_second_run_of_the_same_settings_is_the_same_run(command, run_folder):
    out, summary = run_folder
    done = command("run", PLANTED, "--segmenter", "colour", "--samples", 64, "--out", out, "--json")
    assert json.loads(done.stdout) == summary


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", PLANTED, "--segmenter", "colour", "--out", "R", "--samples", "0"], "--samples is 0"),
        (["run", PLANTED, "--segmenter", "colour", "--out", "R", "--samples", "x"], "--samples is 'x'; expected a whole number"),
        (["run", PLANTED, "--segmenter", "colour", "--out", "R", "--grid", "x"], "--grid is 'x'; expected a number of pixels"),
        (["run", PLANTED, "--segmenter", "colour", "--out", "R", "--compat", "gandissect", "--grid", "9"], "--grid is 9 with compat"),
        (["run", PLANTED, "--segmenter", "colour", "--out", "R", "--layers", "unts"], "did you mean 'units'"),
        (["run", PLANTED, "--segmenter", "color", "--out", "R"], "did you mean 'colour'"),
        (["run", "faces-dcgn", "--segmenter", "colour", "--out", "R"], "did you mean 'faces-dcgan'"),
        (["run", "tests.broken:nan_images", "--segmenter", "colour", "--out", "R"], "NaN or infinity"),
        (["run", "tests.broken:small_images", "--segmenter", "colour", "--out", "R"], "images of shape"),
        (["run", PLANTED, "--segmenter", "tests.broken:negative_ids", "--out", "R"], "id -"),
        (["run", PLANTED, "--segmenter", "colour"], "--out is missing"),
        (["show", "R"], "R is not a run"),
        (["show", "{run}", "--layer", "x"], "layer 'x' is not in"),
        (["show", "{run}", "--concept", "sea"], "'sea' is not in the vocabulary"),
        (["report", "{run}", "--out", "{run}"], "exists and is not a report"),
        (["run", PLANTED, "--segmenter", "colour", "--out", "{run}"], "holds another run"),
        (["inspect", "nothing"], "not a zoo name, a file"),
        (["zoo", "get"], "zoo get was given no name"),
        (["zoo", "card"], "zoo card was given no name"),
        (["zoo", "card", "identit"], "has no card; did you mean 'identity'"),
        (["zoo", "get", "cats"], "'cats' is not in the zoo"),
        (["run", PLANTED, "--segmenter", "colour", "--out", "/dev/null/R"], "Not a directory"),
        (["run", PLANTED, "--segmenter", "colour", "--out", "R", "--layers", ""], "--layers is ''; expected names of layers"),
        (["fly"], "the command is 'fly'; expected demo, zoo"),
        ([], "required: COMMAND"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_2(
    command, run_folder, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    given = [argument.replace("{run}", str(run_folder[0])) for argument in arguments]
    done = command(*given)
    assert done.returncode == 2, done.stderr
    assert message in one_line(done.stderr)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_a_run_that_resumes(tmp_path):
    import signal

    from dissect.runs.schema import STATUS
    from tests.dashboard.slow_world import SECONDS, SPEC

    arguments = [
        sys.executable, "-m", "dissect", "run", SPEC, "--segmenter", "colour",
        "--samples", "640", "--out", str(tmp_path / "R"), "--json",
    ]  # fmt: skip
    slow = os.environ | {SECONDS: "5"}  # a minute of the pass is left when it begins
    process = subprocess.Popen(
        arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=slow
    )
    deadline = time.monotonic() + patience.PROCESS
    while not (tmp_path / "R.partial" / STATUS).exists():  # the first block is counted
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=patience.PROCESS)
    assert process.returncode == 130, errors
    assert "--resume continues" in errors
    assert not (tmp_path / "R").exists()
    done = subprocess.run(
        [*arguments, "--resume"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"] == 640


def test_a_reader_that_stops_early_is_no_fault(run_folder):
    out, _ = run_folder
    done = subprocess.run(
        f"{sys.executable} -m dissect show {out} --csv | head -1",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""


@pytest.mark.slow
def test_demo_of_faces_ends_in_a_report(command, faces_dcgan, tmp_path):
    done = command("demo", "--faces", "--samples", 32, "--out", tmp_path / "R", "--json")
    found = json.loads(done.stdout)
    assert (found["generator"], found["segmenter"]) == ("faces-dcgan", "faces")
    assert (tmp_path / "R" / "report" / "index.html").is_file()
