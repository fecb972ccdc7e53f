"""The page of the blind test."""

import re
import shutil

from playwright.sync_api import expect

from dissect import open_run
from dissect.blind.answers import answers_of
from dissect.blind.options import BlindOptions
from dissect.blind.questions import blind_questions
from tests import patience


def test_the_dashboard_asks_keeps_and_scores(planted_run, tmp_path, serving, page):
    folder = tmp_path / "runs"
    shutil.copytree(planted_run.path, folder / "p")
    run = open_run(folder / "p")
    questions = blind_questions(run, BlindOptions(n_units=3))
    page.set_default_timeout(1000 * patience.PAGE)
    with serving(folder) as address:
        page.goto(f"{address}/run/p/blind?units=3")
        for place, one in enumerate(questions):
            expect(page.get_by_text(f"{place + 1} of 3", exact=True)).to_be_visible()
            wrong = next(choice for choice in one.choices if choice != one.label)
            name = one.label if place < 2 else wrong
            page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_text("That is all")).to_be_visible()
        row = page.get_by_role("row", name=re.compile("^all"))
        expect(row).to_contain_text("0.67")
        page.reload()
        expect(page.get_by_text("That is all")).to_be_visible()
        page.goto("about:blank")  # so that nothing is asked of a server that is gone
    assert [one.is_right for one in answers_of(run)] == [True, True, False]
