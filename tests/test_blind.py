"""The blind test: what is asked, what is kept, how it is scored, and both pages that ask."""

import json
import re
import shutil

import pytest
from playwright.sync_api import expect

from dissect import open_run
from dissect.blind.answers import (
    answer,
    answer_file,
    answers_of,
    keep_answers,
    read_answer_file,
)
from dissect.blind.options import BlindOptions
from dissect.blind.questions import blind_questions
from dissect.blind.score import score_of, scores
from dissect.errors import ConfigError, RunError
from reports.blind import blind_page
from tests import patience

SIX = BlindOptions(n_units=6, seed=3)


@pytest.fixture
def run(planted_run, tmp_path):
    """A copy: answers are written into the folder of a run."""
    shutil.copytree(planted_run.path, tmp_path / "r")
    return open_run(tmp_path / "r")


def test_the_same_seed_asks_the_same_and_every_question_holds_the_label_once(run):
    questions = blind_questions(run, SIX)
    assert questions == blind_questions(run, SIX)
    assert questions != blind_questions(run, BlindOptions(n_units=6, seed=4))
    assert len({one.key for one in questions}) == 6
    labels = run.units("units").concept
    for one in questions:
        assert one.label == labels[one.unit]
        assert len(set(one.choices)) == 4
        assert one.label in one.choices
    assert len(blind_questions(run, BlindOptions(n_units=60))) == 9  # all there are


def test_neither_the_place_of_a_choice_nor_of_a_question_tells_the_label(run):
    places, first = [], []
    for seed in range(60):
        questions = blind_questions(run, BlindOptions(n_units=9, seed=seed))
        places += [one.choices.index(one.label) for one in questions]
        first.append(questions[0].rung)
    counts = [places.count(place) for place in range(4)]
    assert min(counts) > 540 / 4 - 60
    assert {"named", "matches", "no match"} == set(first)


def test_rungs_are_asked_as_evenly_as_they_allow(run):
    rungs = [one.rung for one in blind_questions(run, BlindOptions(n_units=4))]
    counts = [rungs.count(rung) for rung in ("named", "matches", "no match")]
    assert sorted(counts) == [1, 1, 2]


def test_answers_are_kept_and_the_last_one_of_a_person_counts(run):
    first, second, *_ = blind_questions(run, SIX)
    wrong = next(choice for choice in first.choices if choice != first.label)
    keep_answers(run, [answer(first, wrong), answer(second, second.label)])
    keep_answers(run, [answer(first, first.label), answer(first, wrong, by="Ada")])
    kept = answers_of(run)
    assert [(one.by, one.unit, one.is_right) for one in kept] == [
        ("", first.unit, True), ("", second.unit, True), ("Ada", first.unit, False),
    ]  # fmt: skip
    open_run(run.path)  # still whole
    with pytest.raises(ConfigError, match="'orange' is not among the choices"):
        answer(first, "orange") if "orange" not in first.choices else answer(first, "")


def test_a_score_has_the_interval_of_wilson(run):
    questions = blind_questions(run, SIX)
    answers = [answer(one, one.label) for one in questions[:4]]
    answers += [
        answer(one, next(c for c in one.choices if c != one.label)) for one in questions[4:]
    ]
    found = score_of("all", answers)
    # From the formula of Wilson 1927: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
    z, n, p = 1.959964, 6, 4 / 6
    middle, reach = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    scale = 1 + z**2 / n
    assert found.low == pytest.approx((middle - reach) / scale, abs=1e-6)
    assert found.high == pytest.approx((middle + reach) / scale, abs=1e-6)
    assert (found.asked, found.right, found.chance) == (6, 4, 0.25)
    keep_answers(run, answers)
    by_rung = {one.rung: one for one in scores(run)}
    assert by_rung["all"].words.startswith("all: 4 of 6 right, 0.67 [0.30, 0.90], by guessing 0.25")
    assert sum(one.asked for name, one in by_rung.items() if name != "all") == 6
    assert score_of("all", []).words == "all: nothing was answered yet"


def test_a_causal_unit_is_a_rung_of_its_own(run):
    from dissect.studies import measure

    copied = open_run(run.path, generator="dissect.worlds.planted:generator")
    measure(copied, "causal", n_samples=64, progress=False)
    rungs = {one.unit: one.rung for one in blind_questions(copied, BlindOptions())}
    assert [rungs[unit] for unit in (0, 1, 2, 3)] == ["causal"] * 4
    assert rungs[5] == "matches"  # it fires where red is, and paints nothing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "x"}, "expected 'gan-dissection blind answers', version 1"),
        ({"version": 2}, "version 2; expected"),
        ({"run": "0" * 64}, "answers another run"),
        ({"answers": {"units/99": "red"}}, "the answer is to 'units/99', which this test does not"),
        ({"answers": {"units/0": "<script>"}}, "is not among the choices"),
        ({"answers": [1]}, "is damaged; expected answers by unit"),
        ({"n_units": "many"}, "n_units is 'many'; expected a whole number"),
        ({"by": "\x07"}, "control characters"),
    ],
)
def test_a_wrong_file_of_answers_is_one_line_and_keeps_nothing(run, tmp_path, change, message):
    options = BlindOptions(n_units=9)
    key = next(one for one in blind_questions(run, options) if one.unit == 0)
    content = answer_file(run, options) | {"answers": {key.key: key.label}} | change
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        keep_answers(run, read_answer_file(run, path))
    assert "\n" not in str(caught.value)
    assert answers_of(run) == []


def test_files_that_are_none_are_told(run, tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_answer_file(run, tmp_path / "none.json")
    for data in (b"{", b"[]", b"x" * (2 << 20)):
        (tmp_path / "a.json").write_bytes(data)
        with pytest.raises(ConfigError, match="not a JSON object"):
            read_answer_file(run, tmp_path / "a.json")
    (run.path / "blind").mkdir()
    (run.path / "blind" / "answers.jsonl").write_text('{"by": 1}\n')
    with pytest.raises(RunError, match=r"is damaged .*answer again"):
        answers_of(run)


def test_the_page_does_not_tell_the_labels(run):
    page = blind_page(run, SIX)
    text = re.sub(r"data:image/webp;base64,[\w+/=]+", "", page)
    for one in blind_questions(run, SIX):
        # Each choice stands once as what is chosen and once as what is read, the label like others.
        section = text.split(f'data-key="{one.key}"')[1].split("</section>")[0]
        assert {section.count(f'"{choice}"') for choice in one.choices} == {1}
    assert "no match" not in text
    assert '"answers": {}' in text


def test_a_person_answers_the_file_without_a_server_and_the_command_reads_it(
    run, tmp_path, chromium, command
):
    made = command("blind", run.path, "--units", 6, "--seed", 3, "--out", tmp_path / "test.html")
    assert made.returncode == 0, made.stderr
    assert "nothing was answered yet" in made.stdout
    questions = blind_questions(run, SIX)
    view = chromium.new_page()
    view.set_default_timeout(1000 * patience.PAGE)
    problems = []
    view.on("console", lambda message: problems.append(message.text))
    view.on("pageerror", lambda error: problems.append(str(error)))
    view.goto((tmp_path / "test.html").as_uri())
    view.get_by_label("Your name").fill("Ada")
    for one in questions:
        section = view.locator(f"[data-key='{one.key}']")
        expect(section).to_be_visible()
        assert section.locator("img").evaluate("async i => (await i.decode(), i.naturalWidth)") > 0
        section.get_by_role("button", name=one.label).click()
    view.get_by_role("button", name="Back").click()  # and once more with a key
    place = questions[-1].choices.index(questions[-1].label) + 1
    view.locator("h1").click()
    view.keyboard.press(str(place))
    expect(view.get_by_text("6 of 6 answered.")).to_be_visible()
    view.set_viewport_size({"width": 390, "height": 800})
    assert view.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    with view.expect_download() as waiting:
        view.get_by_role("link", name="Download the answers").click()
    waiting.value.save_as(tmp_path / "answers.json")
    view.close()
    assert problems == []
    read = command("blind", run.path, "--answers", tmp_path / "answers.json", "--json")
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout)["scores"][-1]
    assert (found["rung"], found["asked"], found["right"]) == ("all", 6, 6)
    assert {one.by for one in answers_of(run)} == {"Ada"}
