"""A folder of directions in a run of the planted world, for tests of what shows them."""

import numpy as np

from dissect.directions.direction import Direction
from dissect.directions.effects import measure_effects
from dissect.directions.folder import PARENT, DirectionFolder, write_folder
from dissect.directions.strips import draw_random_strip, draw_strip
from dissect.worlds.planted import generator

NAMES = ("first", "<b>second</b>", "third")


def add_directions(run, *, name="sefa", scored=True):
    """Three directions of z: the first adds red and takes blue, the second nothing certain."""
    world = generator()
    size = world.spaces["z"].shape[0]
    # Cells are taken in the order of the first 16 numbers: raising the lowest moves a shape.
    order = world.sample([0], seed=0).data[0, :16].argsort().tolist()
    found = tuple(
        Direction(name, "z", np.eye(size)[k]) for name, k in zip(NAMES, order, strict=False)
    )
    random = np.random.default_rng(0)
    plain = random.standard_normal((60, 3))
    edited = np.stack(
        [plain + np.array([1, 0, -0.6]), plain + 0.01 * random.standard_normal((60, 3)), plain]
    )
    effects = measure_effects(
        plain, edited, plain[None] + 0.1, names=NAMES, attributes=["red", "green", "blue"],
        strength=2.0, length=2.0,
    )  # fmt: skip
    folder = DirectionFolder(
        run / PARENT / name, found,
        {"name": world.name, "fingerprint": world.fingerprint}, "sefa",
        effects if scored else None, layers={"first": effects} if scored else {},
    )  # fmt: skip
    write_folder(
        folder,
        [draw_strip(world, one, tile=24) for one in found],
        draw_random_strip(world, found[0]),
    )
    return folder
