"""Kinds of study: what each has to say, and that a new one needs no change elsewhere."""

import argparse
import json
import shlex
import shutil
from types import MappingProxyType

import pytest

from dissect import open_run
from dissect.cli import main
from dissect.commands.studies import command_of
from dissect.edits import Scale, to_json
from dissect.errors import RunError
from dissect.settings import setting
from dissect.studies import measure, open_effect, registry, store
from dissect.studies.description import Bar, Column, Description, Table
from dissect.studies.study import Result, StudyOptions
from dissect.studies.unit_question import UnitQuestion
from dissect.studies.unit_study import UnitStudy

FEW = {"n_samples": 8, "n_search": 32, "draws": 1, "progress": False}


class LouderQuestion(UnitQuestion, kw_only=True):
    """How a concept grows when its best unit is turned up."""

    factor: float = setting("factor of the unit", default=2.0, above=0)


class LouderStudy(UnitStudy[LouderQuestion]):
    """A toy: this class, and its line in the registry, are all that there is of it."""

    kind = "louder"
    help = "turn units up"
    question = LouderQuestion
    label = "Turn up"
    hint = "The units are multiplied."

    def measure(self, run, question, *, name, device, progress):
        from dissect.studies.pixels import effect_table
        from dissect.studies.pixels import measure as measure_edits
        from dissect.studies.unit_sets import prepare

        prepared = prepare(run, question, inserted=False, device=device, progress=progress)
        edits = [Scale(prepared.layer, prepared.units, question.factor)]
        table = effect_table(measure_edits(prepared.originals, edits), run.vocabulary, seed=0)
        heading = prepared.heading(self.kind, question, 1.0)
        summary = {**heading, "concepts": store.plain_rows(table)}
        record = prepared.record(question, edits, summary)
        name = name or question.folder_name(self.kind, prepared.layer)
        return Result(summary, store.write_effect(run, name, record, table, {}))

    def headline(self, summary):
        return f"louder {summary['concept']}, {summary['samples']} samples"

    def describe(self, summary):
        rows = summary["concepts"]
        row = next(row for row in rows if row["concept"] == summary["concept"])
        return Description(
            question="How loud is it?",
            edits="turned up",
            measured=f"{summary['samples']} samples",
            findings=(f"{row['before']:.1f} pixels become {row['after']:.1f}",),
            layers=self.layers(summary),
            concept=summary["concept"],
            bars=(Bar("loud", 0.5, 0.25, 0.75),),
            tables=(
                Table(
                    title="All of them",
                    columns=(
                        Column(name="concept", title="Concept", is_concept=True),
                        Column(name="after", title="after", digits=1),
                    ),
                    rows=rows,
                ),
            ),
        )


@pytest.fixture
def toy(monkeypatch):
    study = LouderStudy()
    known = MappingProxyType({**registry.STUDIES, study.kind: study})
    monkeypatch.setattr(registry, "STUDIES", known)
    return study


@pytest.fixture
def run(planted_run, tmp_path):
    """A copy: effects are written into the folder of a run."""
    shutil.copytree(planted_run.path, tmp_path / "r")
    return open_run(tmp_path / "r")


def test_a_new_kind_is_measured_kept_listed_and_shown_everywhere(toy, run, tmp_path, capsys):
    from dashboard.effects.view import effect_list
    from reports import build_report

    parser = argparse.ArgumentParser()
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--json", action="store_true")
    command = command_of(toy)
    command.add_options(parser)
    words = [str(run.path), "--concept", "red", "--units", "1", "--samples", "8", "--draws", "0"]
    command.run(parser.parse_args([*words, "--factor", "3", "--quiet"]))
    assert "pixels become" in capsys.readouterr().out
    (name,) = store.effect_names(run)
    effect = open_effect(run, name)
    assert effect.edits == [Scale("units", [0], 3)]
    assert effect.record["question"]["factor"] == 3
    assert main(["effects", str(run.path)]) == 0
    assert "louder red, 8 samples" in capsys.readouterr().out
    assert main(["effects", str(run.path), "show", name]) == 0
    assert "All of them" in capsys.readouterr().out
    again = toy.command(effect.record["question"])
    assert "--factor 3" in again
    assert parser.parse_args(shlex.split(again)[2:]).factor == 3
    page = build_report(run, out=tmp_path / "report").parent / "index.html"
    text = page.read_text()
    for shown in ("How loud is it?", "pixels become", "All of them", "dissect louder RUN"):
        assert shown in text
    assert "louder red, 8 samples" in str(effect_list(run, "r"))


def test_an_unknown_kind_is_one_line(run, toy, monkeypatch):
    effect = measure(run, "louder", concept="red", n_units=1, **FEW).effect
    known = {kind: study for kind, study in registry.STUDIES.items() if kind != "louder"}
    monkeypatch.setattr(registry, "STUDIES", MappingProxyType(known))
    with pytest.raises(RunError, match="kind 'louder'; expected ablate, insert") as caught:
        open_effect(run, effect.name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", list(registry.STUDIES))
def test_every_kind_says_what_it_is(kind):
    study = registry.STUDIES[kind]
    assert study.kind == kind
    assert study.help
    assert study.__doc__
    assert study.pictures
    assert set(study.fixed) | study.without <= set(study.question.declared)
    assert not set(study.question.declared) & set(StudyOptions.declared)
    assert bool(study.label) == bool(study.hint)


def test_nothing_outside_a_study_compares_its_kind():
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    names = "|".join(registry.STUDIES)
    import re

    asks = re.compile(rf"(==|!=|\bin)\s*[\(\[]?\s*[\"']({names})[\"']")
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for package in ("dissect", "reports", "dashboard")
        for suffix in ("py", "html", "js")
        for path in (root / package).rglob(f"*.{suffix}")
        for line in path.read_text().splitlines()
        if asks.search(line)
    ]
    assert found == []


def test_a_move_is_measured_beside_random_directions_of_its_length(run, planted, tmp_path, capsys):
    import numpy as np

    from dissect.edits import Move, intervene
    from dissect.studies.move.measurement import random_moves

    size = planted.spaces["z"].shape[0]
    vector = np.zeros(size, np.float32)
    vector[:3] = 1.0
    move = Move("z", vector, 2.0)
    for drawn in random_moves(planted, [move], 0, seed=0):
        assert np.linalg.norm(drawn.vector) == pytest.approx(np.linalg.norm(vector), rel=1e-5)
        assert not np.allclose(drawn.vector, vector)
    result = measure(run, "move", moves=[move], n_samples=16, draws=2, progress=False)
    summary, effect = result.summary, result.effect
    assert effect.edits == [move]
    latent = planted.sample(range(16), seed=run.config.seed)
    plain = planted.synthesize(latent).clamp(-1, 1)
    with intervene(planted, [move]):
        moved = planted.synthesize(latent).clamp(-1, 1)
    expected = float((moved - plain).abs().mean() / 2)
    assert summary["image_change"] == pytest.approx(expected, rel=1e-3)
    assert summary["random"]["draws"] == 2
    assert set(effect.table.set) == {"chosen", "random", "random 1", "random 2"}
    # Its own recipe is the input of the same question: from the command line, the same bytes.
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(to_json([move])))
    words = ["move", str(run.path), "--recipe", str(recipe), "--samples", "16", "--draws", "2"]
    assert main([*words, "--quiet", "--name", "again"]) == 0
    assert "random directions of the same length" in capsys.readouterr().out
    again = open_effect(run, "again")
    for file in ("effect.parquet", "sheet.png"):
        assert (again.path / file).read_bytes() == (effect.path / file).read_bytes()
    assert main(["move", str(run.path), "--recipe", str(tmp_path / "none.json")]) == 2
    assert "expected a JSON file of moves" in capsys.readouterr().err
    recipe.write_text(json.dumps(to_json([Scale("units", [1], 2)])))
    assert main(["move", str(run.path), "--recipe", str(recipe)]) == 2
    assert "the recipe holds 'scale'; expected moves alone" in capsys.readouterr().err


def test_a_direction_in_a_layer_is_measured_like_one_of_the_latent(run, planted):
    import numpy as np

    from dissect.directions import Direction
    from dissect.studies.move.measurement import random_moves

    n_units = planted.layers["units"].units
    moves = Direction("more", "units", np.eye(n_units)[0], unit="σ", sigma=0.5).moves(4)
    (drawn,) = random_moves(planted, moves, 0, seed=0)
    assert drawn.vector.shape == (n_units,)
    assert np.linalg.norm(drawn.vector) == pytest.approx(0.5, rel=1e-5)
    result = measure(run, "move", moves=moves, n_samples=8, draws=1, progress=False)
    assert result.summary["image_change"] > 0
    assert result.effect.edits == moves
    assert "move in units by 4" in registry.STUDIES["move"].headline(result.summary)


def test_a_second_segmenter_reads_a_move_too(run):
    from dissect.edits import Move

    question = {"moves": [Move("z", [1.0] * 23)], "n_samples": 16, "draws": 0}
    result = measure(run, "move", second="colour", progress=False, **question)
    agreement = result.summary["agreement"]
    changed = [row for row in result.summary["side_effects"] if row["before"]]
    assert agreement["concept"] == changed[0]["concept"]
    assert agreement["views"][-1]["view"] == "read by colour"
    assert result.effect.record["question"]["second"] == "colour"
    assert "second" not in registry.STUDIES["move"].question(**question).to_json()


def test_a_move_by_nothing_changes_nothing(run):
    from dissect.edits import Move

    move = Move("z", [1.0] * 23, 0.0)
    summary = measure(run, "move", moves=[move], n_samples=8, draws=0, progress=False).summary
    assert summary["image_change"] == 0
    assert all(row["change"] == 0 for row in summary["side_effects"])
