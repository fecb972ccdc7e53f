"""README and the docs: every command is one that the program takes, every link leads somewhere."""

import argparse
import importlib
import importlib.util
import re
import shlex

import pytest

from dissect.cli import build_parser
from dissect.errors import DissectError
from tests.documents import PAGES, ROOT, SHELL, blocks, inline_commands

LINK = re.compile(r"!?\[[^\]]*\]\((?!\w+:)([^)\s]+)\)")


def refusal(given):
    """Why the command line would not take these arguments; None if it would."""
    try:
        build_parser().parse_args(given)
    except DissectError as error:
        return str(error)
    except SystemExit as stop:  # --help, --version
        return None if stop.code in (0, None) else f"status {stop.code}"
    return None


def test_pages_are_found():
    assert {"README.md", "docs/method.md", "docs/tutorials/ablation.md"} <= set(PAGES)
    counted = sum(len(block.commands) for page in PAGES for block in blocks(page))
    assert counted > 60


@pytest.mark.parametrize("page", PAGES)
def test_the_command_line_takes_every_command_of_a_page(page):
    wrong = {
        f"{block}: dissect {shlex.join(given)}": why
        for block in blocks(page)
        if not block.mark.startswith("not run: refused")
        for given in block.commands
        if (why := refusal(given)) is not None
    }
    assert wrong == {}


def test_a_command_with_a_wrong_flag_is_seen():
    assert "--sampels is not an option" in refusal(
        ["run", "g", "--segmenter", "s", "--sampels", "5"]
    )
    assert refusal(["zoo"]) is None


@pytest.fixture(scope="module")
def parsers():
    """Command → its parser, with its options."""
    return below(build_parser(complete=True))


def below(parser):
    """Name → parser, of the commands of a parser."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def test_commands_inside_sentences_have_options_that_exist(parsers):
    wrong = []
    for page in PAGES:
        for line in inline_commands(page):
            name, *rest = line.removeprefix("dissect ").split()
            if name.startswith(("-", "…")) or name == "COMMAND":
                continue
            parser = parsers.get(name)
            if parser is not None and rest:
                parser = below(parser).get(rest[0], parser)
            known = None if parser is None else parser._option_string_actions
            flags = [word.partition("=")[0] for word in rest if word.startswith("--")]
            if known is None or [flag for flag in flags if flag not in known]:
                wrong.append(f"{page}: {line}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES)
def test_other_commands_of_a_page_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for block in blocks(page):
        for line in block.lines if block.language in SHELL else ():
            if made := re.match(r"(?:[A-Z]+=\S+ )*make ([a-z-]+)", line):
                assert made[1] in targets, block
            if module := re.search(r"python -m ([\w.]+)", line):
                assert importlib.util.find_spec(module[1]) is not None, block


@pytest.mark.parametrize(
    "package",
    [
        "dissect", "dissect.bases", "dissect.directions", "dissect.edits", "dissect.inversion",
        "dissect.studies", "dissect.worlds", "segmenters", "reports", "dashboard",
    ],
)  # fmt: skip
def test_the_reference_has_every_public_name(package):
    text = "".join(path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md"))
    shown = set(re.findall(r":: ([\w.]+)", text))
    homes = {package, f"{package}.catalogue", "dissect"}
    names = importlib.import_module(package).__all__
    missing = [name for name in names if not any(f"{home}.{name}" in shown for home in homes)]
    # A constant, and a name that another package has too.
    assert set(missing) <= {"NO_BASES", "DissectError", "SegmenterError", "load_segmenter"}


def slug(heading):
    """The anchor that GitHub and the site give a heading."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.S)
    dead = []
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists():
            dead.append(target)
        elif anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
            if anchor not in {slug(one) for one in headings}:
                dead.append(target)
    assert dead == []
