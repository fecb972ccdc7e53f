"""Layers of two runs beside each other by relative depth."""

import json

import pytest

from benchmarks.dashboard import write_run
from dashboard import context, create_app
from dashboard.components.layers import by_depth
from dashboard.pages.compare import results
from reports.charts import LayerBar


def _bars(count):
    return [LayerBar(f"layer {n}", 8, 0, None, ()) for n in range(count)]


@pytest.mark.parametrize(("n_a", "n_b"), [(1, 1), (1, 4), (5, 5), (2, 7), (3, 20), (6, 7)])
def test_every_layer_stands_once_in_order_nearest_to_its_depth(n_a, n_b):
    a, b = _bars(n_a), _bars(n_b)
    rows_a, rows_b = by_depth(a, b)
    assert len(rows_a) == len(rows_b) == max(n_a, n_b)
    assert [row for row in rows_a if row] == a
    assert [row for row in rows_b if row] == b
    assert by_depth(b, a) == (rows_b, rows_a)
    if n_a > 1:
        n_rows = len(rows_a)
        for place, one in enumerate(a):
            depth = place / (n_a - 1)
            away = [abs(row / (n_rows - 1) - depth) for row in range(n_rows)]
            assert away[rows_a.index(one)] == pytest.approx(min(away))
        assert rows_a[0]
        assert rows_b[0]
        assert rows_a[-1]
        assert rows_b[-1]


def test_the_shorter_of_two_runs_has_gaps_on_the_page(tmp_path):
    for name, n_layers in (("deep", 5), ("flat", 2)):
        write_run(tmp_path / name, n_layers=n_layers, n_units=4, n_concepts=3)
    app = create_app(tmp_path)
    with app.server.app_context():
        page = json.dumps(results(context.current(), "deep", "flat"), default=_plain)
    assert page.count("stack-gap") == 3
    assert page.count("stack-count") == 7


def _plain(component):
    return component.to_plotly_json()
