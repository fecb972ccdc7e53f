"""The pages of errors: every message of the program stands on one, with an anchor of its own."""

import importlib.util
import re
import sys

import pytest

import dissect.errors
from dissect.errors import DissectError
from tests.documents import ROOT, blocks

SITE = ROOT / "docs" / "site"


def load_site(name):
    """A module of the site, which is no package."""
    spec = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site():
    before = sys.modules.get("messages")
    yield load_site("messages")
    sys.modules.pop("messages")
    if before is not None:
        sys.modules["messages"] = before


@pytest.fixture(scope="module")
def messages(site):
    return site.read_messages()


def shown_lines():
    """Lines that README and the docs show behind "dissect: ", with the block that shows them."""
    for path in sorted(ROOT.glob("docs/**/*.md")):
        for block in blocks(path.relative_to(ROOT).as_posix()):
            for line in re.findall(r"^dissect: (.*)$", block.text, re.M):
                yield block, line


SOURCE = """
from dissect.errors import ConfigError, RunError

_HOW = "make it again"


class OddError(RunError):
    pass


def odd(path, names, error):
    if error:
        raise ValueError("never shown to anyone at all")
    if not names:
        return ConfigError(f"{path} has the names {', '.join(names)}; " + _HOW)
    raise OddError(
        f"{path.name!r} is odd ({error}); expected an even one; "
        "choose another"
    ) from error


def passed_on(error):
    raise ConfigError(f"{error}")
"""


def test_messages_are_read_from_source_code(site, tmp_path):
    (tmp_path / "dissect").mkdir()
    (tmp_path / "dissect" / "errors.py").write_text(
        "class DissectError(Exception): ...\n"
        "class ConfigError(DissectError): ...\n"
        "class RunError(DissectError): ...\n"
    )
    (tmp_path / "dissect" / "module.py").write_text(SOURCE)
    first, second = site.read_messages(tmp_path)
    assert (first.kind, first.text) == ("ConfigError", "‹path› has the names …; make it again")
    assert second.kind == "OddError"
    assert second.parts == ["‹name› is odd (‹error›)", "expected an even one", "choose another"]
    assert second.anchor == "dissect-module-is-odd-expected-an-even-one-choose-another"
    assert second.matches("'x' is odd (no: it is 3); expected an even one; choose another")
    assert not second.matches("'x' is even; expected an odd one; choose another")
    # Lines that move, and what stands before them, leave the anchor as it is.
    (tmp_path / "dissect" / "module.py").write_text("# more\n" + SOURCE.replace("_HOW", "_AGAIN"))
    assert [one.anchor for one in site.read_messages(tmp_path)] == [first.anchor, second.anchor]


def test_two_messages_of_the_same_words_have_two_anchors(site, tmp_path):
    (tmp_path / "dissect").mkdir()
    (tmp_path / "dissect" / "one.py").write_text(
        "class DissectError(Exception): ...\n"
        'raise DissectError(f"{a} is odd, really")\n'
        'raise DissectError(f"{b} is odd, really")\n'
        'raise DissectError(f"{b} is odd, really")\n'
    )
    found = site.read_messages(tmp_path)
    assert [one.anchor for one in found] == [
        "dissect-one-is-odd-really",
        "dissect-one-is-odd-really-2",
    ]


def raised(function, *given, **more):
    with pytest.raises(DissectError) as caught:
        function(*given, **more)
    return caught.value


def test_errors_that_are_raised_are_among_them(messages, planted, planted_run, tmp_path):
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10" + bytes(30))
    (tmp_path / "noted.txt").write_text("a note")
    layer = next(iter(planted.layers))
    errors = [
        raised(dissect.load_generator, "no-such-generator"),
        raised(dissect.load_generator, tmp_path / "empty.pt"),
        raised(dissect.load_generator, tmp_path / "cut.safetensors"),
        raised(dissect.load_generator, "json:loads"),
        raised(dissect.load_segmenter, "no-such-segmenter"),
        raised(dissect.load_segmenter, "clip:"),
        raised(dissect.open_run, tmp_path),
        raised(dissect.open_run(planted_run.path).units, "no-such-layer"),
        raised(dissect.RunConfig, planted.name, "colour", n_samples=3),
        raised(dissect.Ablate, layer, [-1]),
        raised(dissect.Scale, layer, [0], float("nan")),
    ]
    lost = [f"{type(one).__name__}: {one}" for one in errors if not find(messages, one)]
    assert lost == []


def find(messages, error):
    """The messages of a kind, or a kind above or below it, that a line may be."""
    above = {kind.__name__ for kind in type(error).__mro__}
    return [one for one in messages if one.kind in above and one.matches(str(error))]


def test_lines_that_the_docs_show_are_among_them(messages):
    shown = list(shown_lines())
    assert len(shown) > 2
    lost = []
    for block, line in shown:
        beginning = line.split("; ")[0]  # the docs may cut the rest
        if not any(re.fullmatch(first_part(one), beginning, re.S) for one in messages):
            lost.append(f"{block}: {line}")
    assert lost == []


def first_part(message):
    """The pattern of what stands before a message's first semicolon."""
    pattern = ".*".join(re.escape(piece) for piece in message.pieces)
    return pattern.split(re.escape("; "))[0]


def test_every_kind_has_its_causes_and_remedies(messages):
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    public = {name for name in dissect.errors.__all__ if name.endswith("Error")}
    assert {one.kind for one in messages} | public == set(sections)
    for kind, text in sections.items():
        assert re.search(r"\*\*Causes", text), kind
        assert re.search(r"\*\*Remedy|remedy", text), kind


def test_the_page_has_the_anchor_of_every_message(site, messages):
    pytest.importorskip("sphinx")
    shown = load_site("site_pages").message_list(messages)
    anchors = [anchor for item in shown for anchor in item[0]["ids"]]
    assert anchors == [one.anchor for one in messages]
    assert len(set(anchors)) == len(anchors) > 500
    for item, one in zip(shown, messages, strict=True):
        assert "; ".join([item[0].astext(), *(part.astext() for part in item[1])]) == one.text
