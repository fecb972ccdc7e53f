"""The shell around the commands: names, help, logs, completion, and one line for every mistake."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dissect
from dissect.cli import build_parser, main
from dissect.commands import COMMANDS
from dissect.siblings import shadowing_path

ROOT = Path(__file__).resolve().parents[1]
PLANTED = "dissect.worlds.planted:generator"
RUN = ["run", PLANTED, "--segmenter", "colour", "--out", "R"]


def one_line(text):
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([*RUN, "--seed", "1.5"], "--seed is 1.5; expected a whole number from 0 to 2**64 - 1"),
        ([*RUN, "--samples", "many"], "--samples is 'many'; expected a whole number of at least 16"),
        ([*RUN, "--truncation", "-3"], "--truncation is -3; expected a number from -2 to 2"),
        ([*RUN, "--threshold", "quantil"], "--threshold is 'quantil'; did you mean 'quantile'?"),
        ([*RUN, "--device", "mps"], "--device is 'mps', which torch does not have here; expected cpu"),
        ([*RUN, "--sampels", "50"], "--sampels is not an option; did you mean '--samples'? dissect run --help"),
        ([*RUN, "--batch", "12"], "--batch is 12; expected a multiple of 8"),
        (["run", PLANTED, "--segmentr", "colour"], "--segmentr is not an option; did you mean '--segmenter'?"),
        (["rnu"], "the command is 'rnu'; did you mean 'run'?"),
        (["--verbos"], "the following arguments are required: COMMAND"),
        (["--versoin"], "--versoin is not an option; did you mean '--version'?"),
        (["figure", "R", "layer", "--out", "f.svg"], "kind is 'layer'; did you mean 'layers'?"),
        (["help", "rnu"], "the command is 'rnu'; did you mean 'run'?"),
        (["zoo", "get", "face-dcgan"], "'face-dcgan' is not in the zoo; did you mean 'faces-dcgan'?"),
        (["ablate", "R", "--concept", "red", "--units", "0"], "--units is 0; expected a whole number of at least 1"),
        (["ablate", "R", "--concept", "red", "--order", "gready"], "--order is 'gready'; did you mean 'greedy'?"),
        (["ablate", "R", "--concept", "red", "--region", "1,2,3"], "--region is '1,2,3'; expected four whole numbers"),
        (["insert", "R", "--concept", "red", "--value", "q1.5"], "--value is 'q1.5'; expected mean, learned, or a quantile"),
        (["insert", "R", "--concept", "red", "--pick", "3,x"], "--pick is '3,x'; expected different numbers of units"),
        (["context", "R", "--concept", "red", "--side", "0"], "--side is 0; expected a whole number of at least 1"),
        (["repair", "R", "--bad", "b16.conv1"], "--bad is 'b16.conv1'; expected a layer and units of it"),
        (["report", "R", "--units", "-1"], "--units is -1; expected a whole number of at least 0"),
        (["show", "R", "--rows", "x"], "--rows is 'x'; expected a whole number"),
        (["serve", "R", "--port", "70000"], "--port is 70000; expected a whole number from 0 to 65,535"),
        (["serve", "R", "--host", "0.0.0.0"], "--host is '0.0.0.0', which other machines can reach"),
        (["text", "pint", "G", "snow"], "the command is 'pint'; did you mean 'paint'?"),
        (["text", "label", "R", "--box", "0,0,9,9"], "--box is not an option; "),
        (["completion", "bsh"], "shell is 'bsh'; did you mean 'bash'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_flag_and_exit_2(
    capsys, tmp_path, monkeypatch, arguments, line
):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    told = capsys.readouterr()
    assert one_line(told.err).startswith(f"dissect: {line}")
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["-q", "--quiet", "-v", "--verbose", "--debug"])
def test_common_flags_stand_before_or_behind_the_command(capsys, flag):
    assert main([flag, "zoo", "--json"]) == 0
    before = capsys.readouterr().out
    assert main(["zoo", "--json", flag]) == 0
    assert capsys.readouterr().out == before


def test_verbose_logs_what_is_loaded_and_quiet_does_not(capsys):
    assert main(["inspect", PLANTED]) == 0
    assert capsys.readouterr().err == ""
    assert main(["-v", "inspect", PLANTED]) == 0
    log = capsys.readouterr().err.splitlines()
    assert log[0].startswith("generator planted loaded in ")
    assert log[-1].startswith("took ")
    assert main(["-q", "inspect", PLANTED]) == 0
    assert capsys.readouterr().err == ""


def test_debug_shows_the_traceback_of_a_mistake(capsys):
    assert main(["show", "nowhere", "--debug"]) == 2
    *trace, last = capsys.readouterr().err.splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert last.startswith("dissect: nowhere is not a run")


def test_a_fault_is_one_line_without_debug_and_exit_1(capsys, monkeypatch):
    def fail(*given):
        raise ValueError("two\nlines")

    monkeypatch.setattr("dissect.inspection.inspect_generator", fail)
    assert main(["inspect", PLANTED]) == 1
    line = one_line(capsys.readouterr().err)
    assert line.startswith("dissect: fault: ValueError: two lines; run it again with --debug")
    assert main(["inspect", PLANTED, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_version_is_the_same_everywhere(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"dissect {dissect.__version__}\n"
    metadata = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in metadata
    assert 'attr = "dissect.__version__"' in metadata


ACTIONS = [(command.name, action) for command in COMMANDS for action in command.actions]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_explains_a_command_with_an_example(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main(["help", command.name])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: dissect {command.name} ")
    for example in command.examples:
        assert example in text


@pytest.mark.parametrize(("command", "action"), ACTIONS, ids=lambda one: getattr(one, "name", one))
def test_an_action_has_its_own_help_and_takes_no_option_of_another(capsys, command, action):
    with pytest.raises(SystemExit) as ended:
        main([command, action.name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: dissect {command} {action.name} ")
    assert "--json" in text
    for other, example in ((o, e) for _, o in ACTIONS if o is not action for e in o.examples):
        assert example not in text, other.name


def test_examples_of_the_help_can_be_parsed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for command in (*COMMANDS, *(action for _, action in ACTIONS)):
        for example in command.examples:
            if example.startswith("dissect "):
                options = build_parser().parse_args(shlex.split(example.partition(" > ")[0])[1:])
                assert options.command in [one.run for one in command.actions or (command,)]


def test_help_without_a_command_lists_all(capsys):
    assert main(["help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n    {command.name} " in text for command in COMMANDS)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_completion_script_knows_every_command_and_option(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name in script
    for flag in ("--segmenter", "--min-over-chance", "--candidates", "--behind-proxy", "--version"):
        assert flag in script
    program = shutil.which(shell)
    if program is not None:
        done = subprocess.run(
            [program, "-n"], input=script, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def complete(script, *words):
    """What bash offers behind the last of some words."""
    code = f"""
{script}
COMP_WORDS=({" ".join(repr(word) for word in words)})
COMP_CWORD={len(words) - 1}
COMPREPLY=()
$(complete -p dissect | sed 's/.*-F \\([^ ]*\\).*/\\1/') dissect
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_commands_options_and_choices(capsys):
    main(["completion", "bash"])
    script = capsys.readouterr().out
    assert complete(script, "dissect", "ab") == ["ablate"]
    assert complete(script, "dissect", "run", "--min-o") == ["--min-over-chance"]
    assert complete(script, "dissect", "run", "--threshold", "") == ["information", "quantile"]
    assert "greedy" in complete(script, "dissect", "ablate", "--order", "g")


def run_in(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "dissect", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("reports", ["report", "R"]),
        ("reports", ["demo"]),
        ("dashboard", ["serve", "."]),
        ("segmenters", ["zoo"]),
        ("segmenters", ["--help"]),
    ],
)
@pytest.mark.parametrize("kind", ["package", "module"])
def test_a_foreign_package_of_that_name_is_named_in_one_line(tmp_path, package, arguments, kind):
    path = tmp_path / package if kind == "package" else tmp_path / f"{package}.py"
    if kind == "package":
        path.mkdir()
    (path / "__init__.py" if kind == "package" else path).write_text("raise SystemExit('imported')")
    done = run_in(tmp_path, *arguments)
    assert done.returncode == 2
    line = one_line(done.stderr)
    assert line.startswith(
        f"dissect: {path} hides the package '{package}' of gan-dissection; expected "
    )
    assert done.stdout == ""


def test_a_foreign_package_does_not_matter_to_commands_that_do_not_need_it(tmp_path):
    for package in ("reports", "dashboard"):
        (tmp_path / f"{package}.py").write_text("raise SystemExit('imported')")
    (tmp_path / "segmenters").mkdir()  # a folder of data is no package
    done = run_in(tmp_path, "zoo")
    assert done.returncode == 0, done.stderr


def test_a_library_that_imports_dissect_beside_foreign_segmenters_gets_an_import_error(tmp_path):
    (tmp_path / "segmenters.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "import dissect"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")
    assert "hides the package 'segmenters'" in done.stderr


def test_this_projects_own_packages_are_not_foreign():
    assert [shadowing_path(name) for name in ("segmenters", "reports", "dashboard")] == [None] * 3
