"""The share card, names of models and figures without a title."""

import io

import numpy as np
import pytest
from PIL import Image

from reports.card import SIZE, draw_card
from reports.figures import draw_layers
from reports.findings import by_evidence, clearest, concept_rows, rung_tiles
from reports.naming import short_name


def test_the_card_is_of_its_size_holds_the_clearest_unit_and_is_the_same_twice(full_run):
    content = draw_card(full_run)
    card = Image.open(io.BytesIO(content))
    assert (card.format, card.size) == ("PNG", SIZE)
    (first,) = clearest(full_run, ["units"], 1)
    strip = Image.open(io.BytesIO(full_run.strip(first.layer, first.unit))).convert("RGB")
    shown = np.asarray(card.convert("RGB").crop((48, 146, 168, 266)), float)
    tile = np.asarray(strip.crop((0, 0, strip.height, strip.height)).resize((120, 120)), float)
    assert np.abs(shown - tile).mean() < 8
    assert draw_card(full_run) == content


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("scenes-stylegan2", "scenes-stylegan2"),
        ("smp:/data/nets/unet.pt", "smp:unet.pt"),
        ("/data/a b/model.pkl", "model.pkl"),
        ("./here/model.pkl", "model.pkl"),
        ("hf:owner/model", "hf:owner/model"),
        ("smp:/a/b.pt+colour", "smp:b.pt+colour"),
    ],
)
def test_a_model_is_called_by_its_name_not_by_its_path(name, short):
    assert short_name(name) == short


def test_concepts_stand_by_their_evidence(full_run):
    rows = concept_rows(full_run, list(full_run.layers))
    ranked = by_evidence(full_run, rows)
    assert sorted(row["name"] for row in ranked) == sorted(row["name"] for row in rows)
    units = [row["units"] for row in ranked]
    assert units[0] > 0
    assert units == sorted(units, reverse=True)
    most = full_run.table.groupby("concept").excess_information.max()
    rest = [most[row["name"]] for row in ranked if not row["units"]]
    known = [value for value in rest if not np.isnan(value)]
    assert known == sorted(known, reverse=True)


def test_rungs_are_counted_as_the_summary_counts_them(full_run):
    matches, named, causal = rung_tiles(full_run, list(full_run.layers))
    layers = full_run.summary()["layers"].values()
    assert matches["count"] == sum(found["matches"] for found in layers)
    assert named["count"] == sum(found["named"] for found in layers)
    assert causal["count"] is None  # nothing was ablated alone of every unit


def test_a_figure_without_its_title_is_blank_where_that_stood(full_run):
    pytest.importorskip("matplotlib")
    inks = []
    for title in (True, False):
        content = draw_layers(full_run, width=3.25, suffix=".png", title=title)
        picture = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
        inks.append(int((picture[:60] < 128).sum()))
    assert inks[0] > 100 > inks[1]
