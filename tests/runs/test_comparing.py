import dataclasses

import pytest
import torch

from dissect import ConfigError, dissect
from dissect.counting.matching import match_units
from dissect.runs.compare import BY_NAME, BY_SIZE, compare_runs
from dissect.worlds.planted import PlantedGenerator
from segmenters.colour import ColourSegmenter
from segmenters.vocabulary import Vocabulary

ORDER = [3, 0, 1, 2, 8, 7, 6, 5, 4]  # where the units of the turned world come from


class _Reorder(torch.nn.Module):
    def forward(self, maps):
        return maps[:, ORDER]


class _Turned(PlantedGenerator):
    """The planted world with a further layer whose units stand in another order."""

    def __init__(self):
        super().__init__()
        self.module.draw = torch.nn.Sequential(self.module.draw)
        self.module.turned = _Reorder()
        self.layers = {"turned": dataclasses.replace(self.layers["units"], module="turned")}
        self.fingerprint = "turned"

    def synthesize(self, latent, *, noise="const"):
        self.module.turned(self.module.draw(latent.data))
        return super().synthesize(latent, noise=noise)


class _FewColours(ColourSegmenter):
    """Knows red as crimson."""

    def __init__(self):
        super().__init__()
        rows = [(c.name, c.category, c.plane, c.colour) for c in self.vocabulary]
        self.name = "few"
        self.vocabulary = Vocabulary.build(
            [("crimson" if n == "red" else n, *rest) for n, *rest in rows]
        )


class _NoGreen(ColourSegmenter):
    def segment(self, images):
        planes = super().segment(images)
        return planes.masked_fill(planes == self.vocabulary["green"].id, 0)


@pytest.fixture(scope="module")
def turned_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "turned"
    return dissect(_Turned(), ColourSegmenter(), out=out, n_samples=200, progress=False)


def run_with(segmenter, out, **settings):
    settings = {"n_samples": 64, "progress": False} | settings
    return dissect(PlantedGenerator(), segmenter, out=out, **settings)


def test_a_run_compared_with_itself_gains_and_loses_nothing(planted_run):
    found = compare_runs([planted_run, planted_run])
    assert found.aligned_by == BY_NAME
    assert found.changed(1, "gained") == found.changed(1, "lost") == []
    assert {row.name for row in found.changed(1, "both")} == {
        "red", "green", "blue", "yellow", "purple",
    }  # fmt: skip
    assert [caution.what for caution in found.cautions] == ["same as"]
    assert found.cautions[0].values == ("A", "A")


def test_a_concept_that_is_not_marked_is_lost_one_way_and_gained_the_other(planted_run, tmp_path):
    blind = run_with(_NoGreen(), tmp_path / "blind", n_samples=200)
    lost = compare_runs([planted_run, blind])
    assert [row.name for row in lost.changed(1, "lost")] == ["green"]
    assert [row.name for row in compare_runs([blind, planted_run]).changed(1, "gained")] == [
        "green"
    ]
    (green,) = lost.changed(1, "lost")
    assert [cell.n_units for cell in green.cells] == [1, 0]


def test_other_settings_are_cautions_and_concepts_of_one_run_are_told_apart(planted_run, tmp_path):
    few = run_with(_FewColours(), tmp_path / "few", seed=3, threshold="quantile")
    found = compare_runs([planted_run, few])
    cautions = {caution.what: caution.values for caution in found.cautions}
    assert cautions["samples"] == ("200", "64")
    assert cautions["seed"] == ("0", "3")
    assert cautions["segmenter"] == ("colour", "few")
    assert cautions["threshold"] == ("information", "quantile")
    apart = {row.name: row.cells for row in found.concepts if not row.shared}
    assert set(apart) == {"red", "crimson"}
    assert apart["red"][1] is None


def test_layers_of_other_names_stand_side_by_side_by_their_size(planted_run, turned_run):
    found = compare_runs([planted_run, turned_run])
    assert found.aligned_by == BY_SIZE
    (row,) = found.layers
    assert row.title == "32 × 32"
    assert [[f.layer for f in cell] for cell in row.cells] == [["units"], ["turned"]]


def test_units_in_another_order_find_each_other_and_keep_their_names(planted_run, turned_run):
    found = compare_runs([planted_run, turned_run])
    generators = [PlantedGenerator(), _Turned()]
    matching = match_units(found.runs, generators, found.layers, position=1, n_samples=16)
    pairs = matching.matched
    assert {(u, ORDER[v]) for u, v in zip(pairs.unit, pairs.other_unit, strict=True)} == {
        (unit, unit) for unit in pairs.unit
    }
    # Unit 8 is constant, so nothing can be said of it.
    assert set(matching.best.unit) == set(range(8))
    assert set(pairs.unit) >= {0, 1, 2, 3, 7}
    assert pairs.correlation.to_numpy() == pytest.approx(1)
    assert (pairs.concept == pairs.other_concept).all()
    assert (matching.best.chance < 0.3).all()


def test_generators_that_get_other_latents_are_refused(planted_run, tmp_path):
    other = run_with(ColourSegmenter(), tmp_path / "seed", seed=1)
    found = compare_runs([planted_run, other])
    generators = [PlantedGenerator(), PlantedGenerator()]
    with pytest.raises(ConfigError, match=r"of seed 1 .*expected the same latents"):
        match_units(found.runs, generators, found.layers, position=1, n_samples=4)
    with pytest.raises(ConfigError, match="match is 5 samples; expected an even number"):
        match_units(found.runs, generators, found.layers, position=1, n_samples=5)


@pytest.mark.parametrize("n", [1, 13])
def test_too_few_and_too_many_runs_are_refused(planted_run, n):
    with pytest.raises(ConfigError, match="expected 2 to 12"):
        compare_runs([planted_run] * n)
