import json

import numpy as np
import pytest
from dash.exceptions import PreventUpdate

from dashboard import context, create_app, run_watch, unit_facts
from dashboard.components.layers import bars_of, cells_of
from dashboard.media import digest_of
from dashboard.pairs import labels_of, measured_of, pairs_of
from dashboard.store import RunStore, UnknownRunError, run_id
from dissect.errors import LayerError, RunError
from reports.charts import best_cells, layer_bars


@pytest.fixture
def store(runs_dir):
    return RunStore(runs_dir)


@pytest.fixture
def opened(store):
    return store.open("planted")


def test_folded_pairs_are_those_of_the_table(opened):
    run, pairs = opened.run, pairs_of(opened)
    names = list(run.vocabulary.names)
    for row in run.table.iloc[::7].itertuples():
        place = pairs.starts[row.layer] + row.unit, names.index(row.concept)
        assert pairs.scores["iou"][place] == pytest.approx(row.iou, nan_ok=True)
        assert pairs.scores["recall"][place] == pytest.approx(row.recall, nan_ok=True)
    expected = run.units("units")
    found = labels_of(opened)
    assert found.concept.astype(str).tolist() == expected.concept.tolist()
    assert found.is_named.tolist() == expected.is_named.tolist()


def test_bars_and_cells_are_those_of_the_report(opened):
    def content(bars):
        return [
            (b.layer, b.units, b.named, {(s.concept, s.count) for s in b.segments}) for b in bars
        ]

    assert content(bars_of(opened)) == content(layer_bars(opened.run))
    cells, expected = cells_of(opened), best_cells(opened.run)
    for name in ("red", "green", "yellow"):
        assert [cell.unit for cell in cells[name]] == [cell.unit for cell in expected[name]]
    assert cells["red"][0].iou == 1


def test_iou_against_the_threshold_has_the_scores_of_the_run_at_their_edge(opened):
    run = opened.run
    for unit in (0, 4, 6):
        values = unit_facts.values(run, "units", unit)
        best = unit_facts.matches(opened, unit)[0]
        column = list(run.vocabulary.names).index(best.concept)
        edge = int(np.abs(values.edges - best.threshold).argmin())
        assert values.iou[column, edge] == pytest.approx(best.iou)
        expected = run.activations("units", unit)
        np.testing.assert_array_equal(values.spread.share.values, expected.share.values)
        assert np.isfinite(unit_facts.centres(values.spread)).all()


def test_the_label_stands_first_among_the_matches_of_a_unit(opened):
    for row in labels_of(opened).itertuples():
        found = unit_facts.matches(opened, row.Index)
        assert found[0].concept == row.concept


def test_units_that_fire_together_are_those_of_the_correlation(store):
    opened = store.open(run_id("planted too"))
    expected = opened.run.coactivation("units").values[6]
    found = dict(unit_facts.coactive(opened, "units", 6))
    assert 6 not in found
    assert found[1] == pytest.approx(expected[1])
    assert max(found.values()) == pytest.approx(np.nanmax(np.delete(expected, 6)))


def test_a_unit_knows_the_smallest_measured_set_it_belongs_to(opened):
    (place, found) = next(iter(measured_of(opened.run).items()))
    assert place == ("units", 0)
    assert (found.label, found.n_units, found.share) == ("red net removed", 1, 1.0)


@pytest.mark.parametrize("unit", [-1, 9])
def test_a_unit_that_is_not_there_is_told(opened, unit):
    with pytest.raises(LayerError, match="expected 0 to 8"):
        unit_facts.row_of(opened, "units", unit)


def test_a_run_is_opened_once_and_anew_when_it_changes(store, runs_dir):
    opened = store.open("planted")
    assert store.open("planted") is opened
    file = runs_dir / "planted" / "run.json"
    file.write_text(file.read_text())
    assert store.open("planted") is not opened


def test_ids_are_plain_words_and_differ_where_names_do():
    names = ["a b", "a-b", "a_b", "ä b", "../x", "..", "a/b", " ", "x" * 300]
    ids = [run_id(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(
        set(i) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") and i[0] != "." for i in ids
    )


def test_the_list_says_what_is_the_matter_with_a_run(store):
    problems = {entry.id: entry.problem for entry in store.entries()}
    assert problems["planted"] == ""
    assert "damaged" in problems["broken"]
    assert "newer version" in problems["newer"]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("changed", RunError, "units.parquet has"),
        ("broken", RunError, "damaged"),
        ("newer", RunError, "schema version 99"),
        ("nope", UnknownRunError, "no such run"),
        ("../planted", UnknownRunError, "no such run"),
        ("..", UnknownRunError, "no such run"),
    ],
)
def test_what_cannot_be_opened_is_told_in_one_line(store, name, kind, message):
    with pytest.raises(kind, match=message) as caught:
        store.open(name)
    assert "\n" not in str(caught.value)


def test_the_store_of_one_run_holds_that_run(runs_dir):
    (entry,) = RunStore(runs_dir / "planted").entries()
    assert entry.id == "planted"


def test_a_run_that_is_deleted_is_lost_and_the_others_stay(runs_dir, tmp_path):
    import shutil

    for name in ("one", "two"):
        shutil.copytree(runs_dir / "planted", tmp_path / name)
    store = RunStore(tmp_path)
    store.open("one")
    shutil.rmtree(tmp_path / "one")
    with pytest.raises(UnknownRunError):
        store.open("one")
    assert store.open("two").run.record == json.loads((tmp_path / "two" / "run.json").read_text())


def test_a_page_is_told_when_its_run_is_no_longer_the_one_that_it_shows(runs_dir):
    with create_app(runs_dir).server.app_context():
        drawn = digest_of(context.current().store.open("planted"))
        with pytest.raises(PreventUpdate):
            run_watch._look(1, ["planted", drawn])
        for given, told in (
            (["planted", "another"], "was made again"),
            (["gone", drawn], "moved or deleted"),
            ([["planted"], drawn], "expected a text"),
            (None, "expected a text"),
        ):
            line, over = run_watch._look(1, given)
            assert told in line.children
            assert over
