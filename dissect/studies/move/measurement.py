"""Measures the changes due to moves of the latent, beside random directions of the same length."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from dissect.counting.samples import check_device
from dissect.edits.applying import check_edits
from dissect.edits.moves import Move
from dissect.edits.recipes import to_json
from dissect.generators.base import Generator
from dissect.latents.sampling import DIRECTION_STREAMS, stream
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.studies import store
from dissect.studies.agreement import measure_agreement, most_changed, open_second
from dissect.studies.certainty import bootstrap_weights, draws_interval, ratio_interval
from dissect.studies.drawing.sheets import draw_pairs, remake
from dissect.studies.move.question import MOVE, MoveQuestion
from dissect.studies.orders import RANDOM
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import PixelCounts, measure, table_of_sets
from dissect.studies.study import Result

_ROWS = 6  # rows of a sheet
_MOST_MOVES = 1000  # limit of one recipe; draws of several moves use other streams


def measure_moves(
    run: Run, question: MoveQuestion, *, name: str | None, device: str, progress: bool
) -> Result:
    """Move the latent of every sample, measure the changes, and store them with the run.

    Raises:
        DissectError: an invalid argument; the message is one line.
    """
    target = name or question.folder_name()
    store.check_free(run, target, question.to_json())  # before anything is measured
    check_device(device)
    generator, segmenter = open_models(run, device=device)
    moves, seed = list(question.moves), run.config.seed
    check_edits(generator, moves)
    second = open_second(question.second, segmenter, device=device)
    originals = Originals(generator, segmenter, run.config, n_samples=question.n_samples)
    originals.fill(progress=progress)
    sets = {"chosen": moves} | {
        f"{RANDOM} {draw + 1}": random_moves(generator, moves, draw, seed=seed)
        for draw in range(question.draws)
    }
    counts: dict[str, PixelCounts] = {}
    changes: dict[str, Float[np.ndarray, " image"]] = {}
    seconds = 0.0
    bar = ProgressBar(sets.items(), desc="measure", unit="set", disable=None if progress else True)
    for key, own in bar:
        started = time.perf_counter()
        counts[key], changes[key] = _measure(originals, own)
        seconds += time.perf_counter() - started
    chosen, *drawn = counts.values()
    table = table_of_sets({"chosen": chosen}, run.vocabulary, seed=seed, draws={RANDOM: drawn})
    by_set = {
        key: store.plain_rows(table[table.set == key].drop(columns="set"))
        for key in ("chosen", RANDOM)
    }
    random = {row["concept"]: row for row in by_set[RANDOM]}
    rows: list[dict[str, Any]] = [
        row | {"random": random.get(row["concept"])} for row in by_set["chosen"]
    ]
    n_images = question.n_samples * len(sets)
    summary = {
        "kind": MOVE,
        "moves": [_about(move) for move in moves],
        "samples": question.n_samples,
        "generator": generator.name,
        "images_per_second": round(n_images / seconds, 1),
        **_image_change(changes["chosen"], seed=seed),
        "random": (
            _random_change(list(changes.values())[1:]) | {"draws": len(drawn)} if drawn else None
        ),
        "agreement": measure_agreement(
            originals, moves, concept=most_changed(rows, second), second=second
        ),
        "side_effects": sorted(rows, key=lambda row: -abs(float(row["change"]))),
    }
    files = {store.SHEET: _sheet(originals, moves, changes["chosen"], generator)}
    record = {
        "question": question.to_json(),
        "run": run.record["fingerprint"],
        "generator": generator.fingerprint,
        "segmenter": segmenter.fingerprint,
        "seed": seed,
        "edits": to_json(moves),
        "summary": summary,
    }
    return Result(summary, store.write_effect(run, target, record, table, files))


def random_moves(
    generator: Generator, moves: Sequence[Move], draw: int, *, seed: int
) -> list[Move]:
    """The same moves along random directions of the same length, in the same layers."""
    drawn = []
    for place, move in enumerate(moves):
        # One number per unit of a layer applies at every pixel; so does its control.
        in_space = move.space in generator.spaces
        shape = generator.spaces[move.space].shape if in_space else np.shape(move.vector)
        random = stream(seed, DIRECTION_STREAMS + _MOST_MOVES * draw + place)
        direction = random.standard_normal(shape)
        vector = np.broadcast_to(np.asarray(move.vector, np.float64), shape)
        where = np.zeros(shape)
        where[list(move.layers) if move.layers is not None else ...] = 1
        length = np.linalg.norm(vector * where) / np.linalg.norm(direction * where)
        drawn.append(replace(move, vector=(direction * where * length).astype(np.float32)))
    return drawn


def _measure(
    originals: Originals, moves: Sequence[Move]
) -> tuple[PixelCounts, Float[np.ndarray, " image"]]:
    """Counts of each concept, and how much each image changes: mean |after − before| / 2."""
    changes: list[torch.Tensor] = []
    numbers = iter(originals.numbers)

    def look(images: torch.Tensor) -> None:
        plain = originals.images(next(numbers)).clamp(-1, 1)
        changes.append((images.clamp(-1, 1) - plain).abs().flatten(1).mean(dim=1).cpu() / 2)

    counts = measure(originals, moves, look=look)
    return counts, torch.cat(changes).double().numpy()


def _image_change(changes: Float[np.ndarray, " image"], *, seed: int) -> dict[str, float]:
    weights = bootstrap_weights(len(changes), seed=seed)
    value, low, high = ratio_interval(changes[:, None], np.ones((len(changes), 1)), weights)
    return {
        "image_change": float(value[0]),
        "image_change_low": float(low[0]),
        "image_change_high": float(high[0]),
    }


def _random_change(changes: Sequence[Float[np.ndarray, " image"]]) -> dict[str, float | None]:
    """The mean of several draws, with its interval over draws and images."""
    parts = np.stack(changes)[..., None]
    found = draws_interval(parts, np.ones_like(parts[0]))
    ends = {"": found.value, "_low": found.low, "_high": found.high}
    return {f"image_change{end}": store.plain_number(array[0]) for end, array in ends.items()}


def _about(move: Move) -> dict[str, object]:
    """A move without its vector, which is stored among the edits."""
    layers = None if move.layers is None else list(move.layers)
    return {
        "space": move.space,
        "strength": move.strength,
        "length": float(np.linalg.norm(np.asarray(move.vector))),
        "layers": layers,
        "mode": move.mode,
    }


def _sheet(
    originals: Originals,
    moves: Sequence[Move],
    changes: Float[np.ndarray, " image"],
    generator: Generator,
) -> bytes:
    """Samples evenly spread from the largest change to the smallest."""
    order = np.argsort(-changes, kind="stable")
    places = np.linspace(0, len(order) - 1, min(_ROWS, len(order))).round().astype(int)
    chosen = order[places].tolist()
    return draw_pairs(
        remake(originals, moves, chosen),
        [f"sample {originals.sample_of_row(row)}: changes by {changes[row]:.3f}" for row in chosen],
        title="What changes when the latent is moved, from most to least",
        subtitle=f"{generator.name}, {len(changes):,} samples",
    )
