import io
import json
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissect.spreadsheets import to_csv
from segmenters.plain_text import (
    escape_json,
    find_control,
    one_line,
    printable,
    printable_output,
    spreadsheet_safe,
)

OBEYED = [
    "\x1b[2J",
    "\x9b31m",
    "\x07",
    "\x00",
    "\x7f",
    "a\rb",
    "\u202etxt.exe",
    "\u2066x",
    "\u2028",
]


@pytest.mark.parametrize("text", OBEYED)
def test_nothing_that_a_terminal_obeys_is_printed(text, capsys):
    assert find_control(printable(text)) is None
    assert find_control(one_line(text + "\n\t" + text)) is None
    assert find_control(text) is not None
    with printable_output():
        print(text)
        print(text, file=sys.stderr)
    out, err = capsys.readouterr()
    assert find_control(out.rstrip("\n")) is None
    assert find_control(err.replace("\r", "").rstrip("\n")) is None  # bars begin a line anew
    print(text)  # and the streams are those from before
    assert capsys.readouterr().out == text + "\n"


def test_bars_keep_what_moves_them_and_nothing_else(capsys):
    with printable_output():
        sys.stderr.write("\r 50%\x1b[A\x1b[2J")
    assert capsys.readouterr().err == "\r 50%\x1b[A\ufffd[2J"


@given(st.text())
def test_escaped_json_says_the_same(text):
    escaped = escape_json(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(escaped) == {"name": text}
    assert find_control(escaped) is None


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])
def test_no_cell_of_any_column_is_a_formula(start):
    cell = start + "1+cmd|' /C calc'!A0"
    assert spreadsheet_safe(cell) == "'" + cell
    table = pd.DataFrame({"layer": [cell], "concept": [cell], "unit": [-3], "iou": [-0.5]})
    for kind in ("str", "object", "category"):
        text = to_csv(table.astype({"layer": kind, "concept": kind}))
        found = pd.read_csv(io.StringIO(text), dtype=str)
        assert list(found.layer) == list(found.concept)
        assert not found.layer[0].startswith(
            ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
        )
        assert (found.unit[0], found.iou[0]) == ("-3", "-0.5")
    assert spreadsheet_safe("sky = blue") == "sky = blue"
