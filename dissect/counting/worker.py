"""One of several processes that count a run; ``dissect.counting.sharing`` sends the orders.

The first order names the models. Large arrays are never sent: they are in files beside the future
run folder (on a cluster: in a folder of the worker), and orders and answers name these files.

    brief   settings of the run
    pilot   generate a block, write its values into files, keep the block
    edges   choose the edges of some units from the values of all blocks
    begin   count the following blocks into a separate part
    count   count a block, and save the part if it is time
    finish  save the part and the picture file
"""

import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dissect.config import RunConfig
from dissect.counting.count import PassCounter, empty_state
from dissect.counting.kept_pictures import KeptPictures
from dissect.counting.pilot import KeptBlocks, PilotValues, known_values
from dissect.counting.planes import PlaneStore
from dissect.counting.stages import HERE, Stages, clock
from dissect.counting.subject import Block, Subject
from dissect.errors import RunError
from dissect.generators import load_generator
from dissect.memory import resident_memory, reused_memory
from dissect.runs.partial import Workspace
from dissect.statistics.edges import edges_from_values, tail_fractions
from dissect.workers.channel import Channel, describe_error
from segmenters import load_segmenter

_EDGE_UNITS = 64  # units whose edges are one task


def pilot_file(block: int, task: int) -> str:
    """Name of the file with the values of a block of the pilot in one share of the units."""
    return f"pilot-{block}-{task}.npy"


def edges_file(task: int) -> str:
    """Name of the file with the edges of one share of the units."""
    return f"edges-{task}.npy"


def remove_pilot_files(folder: Path) -> None:
    """Remove the values of the pilot."""
    for path in folder.glob(pilot_file(0, 0).replace("0", "*")):
        path.unlink(missing_ok=True)


def shares_of_units(subject: Subject) -> list[tuple[str, int, int]]:
    """Units whose edges are one task: layer, first unit, and the one after the last.

    Args:
        subject: Subject with all bases.
    """
    return [
        (layer, first, min(first + _EDGE_UNITS, info.units))
        for layer, info in subject.shapes.items()
        for first in range(0, info.units, _EDGE_UNITS)
    ]


def package_versions() -> dict[str, str]:
    """Versions that all processes of a run must have, as the bytes of a run depend on them."""
    return {name: version(name) for name in ("gan-dissection", "torch")}


def _check_versions(expected: Mapping[str, str]) -> None:
    """Raise an error if this machine has other versions.

    Raises:
        RunError: it has.
    """
    for name, own in package_versions().items():
        if own != expected[name]:
            raise RunError(
                f"a worker on {socket.gethostname()} has {name} {own}; expected {expected[name]}, "
                "as on the machine that started the run; install the same version on all machines"
            )


class Worker:
    """State of the process.

    Args:
        order: The first order.
        stack: Closes open resources.
        folder: Folder for files; None: the one beside the future run.

    Raises:
        DissectError: models that cannot be loaded, or other versions than expected.
    """

    def __init__(
        self, order: Mapping[str, Any], stack: ExitStack, folder: Path | None = None
    ) -> None:
        _check_versions(order["versions"])
        stack.enter_context(reused_memory())
        torch.set_num_threads(order["threads"])
        self._stack, self._folder, device = stack, folder, order["device"]
        self._models = (
            load_generator(order["generator"], device=device),
            load_segmenter(order["segmenter"], device=device),
        )
        self._in_pilot = False
        self._counter: PassCounter | None = None
        self._kept: KeptBlocks | None = None
        self._pictures: KeptPictures | None = None

    def _brief(self, order: Mapping[str, Any]) -> dict[str, object]:
        self._order = order
        self._whole = Subject.of(*self._models, RunConfig.from_json(order["config"]))
        self.workspace = Workspace(Path(order["out"]), order["key"])
        if self._folder is not None:
            self.workspace.folder = self._folder
        if self._whole.fingerprint != order["key"]:
            raise RunError(
                "the models changed while the run was made; expected those that it began with; "
                "start again in another --out"
            )
        self.subject = self._whole
        self.stages = Stages(keep_spans=order["spans"])
        self._saved, self._pass, self._part = time.monotonic(), 0, ""
        planes = None if order["planes"] is None else self.workspace.folder / order["planes"]
        self._masks = PlaneStore(self._whole, planes)
        return {"briefed": True}

    def do(self, order: Mapping[str, Any]) -> dict[str, object]:
        """Execute an order; returns the answer."""
        return getattr(self, f"_{order['do']}")(order)

    def _open(self, layers: list[str]) -> None:
        self.subject = self._whole.only(layers)
        self.subject = self.subject.with_bases(self.workspace.load_beginning().bases)
        if self._counter is not None:  # keep a smaller batch size after memory ran out
            self.subject = replace(self.subject, batch=self._counter.subject.batch)

    def _keep(self) -> KeptBlocks:
        if self._kept is None:
            self._kept = self._stack.enter_context(
                KeptBlocks(self._order["room"], folder=self.workspace.folder)
            )
        return self._kept

    def _pilot(self, order: Mapping[str, Any]) -> dict[str, object]:
        if not self._in_pilot:
            self._open(order["layers"])
            self._in_pilot = True
        number: int = order["block"]
        with self.stages.stage("pilot"):
            block = self.subject.block(number)
            made = self._write_values(number, block)
        self._keep().offer(number, block)
        return {"done": number, "made": made}

    def _write_values(self, number: int, block: Block) -> list[str]:
        """Write the values of a block of the pilot; returns the names of the files."""
        subject, size = self.subject, self.subject.config.block
        values = PilotValues(
            {layer: info.units for layer, info in subject.shapes.items()},
            grid=subject.grid, n_pilot=subject.n_pilot, seed=subject.config.seed,
            nearest=subject.config.native,
            samples=range(number * size, min(number * size + size, subject.n_pilot)),
        )  # fmt: skip
        values.add(block)
        made: list[str] = []
        for task, (layer, first, last) in enumerate(shares_of_units(subject)):
            made.append(pilot_file(number, task))
            np.save(self.workspace.folder / made[-1], values.of(layer)[first:last])
        return made

    def _edges(self, order: Mapping[str, Any]) -> dict[str, object]:
        self._in_pilot = False
        folder, task = self.workspace.folder, order["task"]
        with self.stages.stage("pilot"):
            values = [
                np.load(folder / pilot_file(block, task), allow_pickle=False)
                for block in order["blocks"]
            ]
            fractions = tail_fractions(self._whole.config.tail)
            edges = edges_from_values(known_values(np.concatenate(values, axis=1)), fractions)
        # In rows: the memory layout affects the rounding of sums.
        np.save(folder / edges_file(task), np.ascontiguousarray(edges.numpy()))
        return {"done": task, "made": [edges_file(task)]}

    def _begin(self, order: Mapping[str, Any]) -> dict[str, object]:
        remove_pilot_files(self.workspace.folder)  # copies in a folder of its own
        self._open(order["layers"])
        start = self.workspace.load_beginning()
        if self._pictures is None and order["pictures"]:
            generator, config = self.subject.generator, self.subject.config
            self._pictures = self._stack.enter_context(
                KeptPictures(
                    self.workspace.folder, image_size=generator.image_size, native=config.native,
                    name=order["pictures"],
                )
            )  # fmt: skip
        self._pass, self._part = order["pass"], order["part"]
        counter = PassCounter(
            self.subject, empty_state(self.subject, start), kept=self._keep(), masks=self._masks,
            pictures=self._pictures, stages=self.stages,
        )  # fmt: skip
        self._counter = self._stack.enter_context(counter)
        self._saved = time.monotonic()
        return {"begun": self._part}

    def _count(self, order: Mapping[str, Any]) -> dict[str, object]:
        assert self._counter is not None
        block = self._counter.add(order["block"])
        late = time.monotonic() - self._saved > self._order["save_every"]
        return {
            "done": order["block"],
            "samples": len(block.indices),
            "memory": resident_memory(),
            "made": [self._save()] if late else [],
        }

    def _save(self) -> str:
        """Save the part; returns the name of its file."""
        assert self._counter is not None
        with self.stages.stage("save"):
            path = self.workspace.save_part(self._counter.state, self._pass, self._part)
        self._saved = time.monotonic()
        return path.name

    def _finish(self, order: Mapping[str, Any]) -> dict[str, object]:
        made = [self._save()]
        if self._pictures is not None:
            made += self._pictures.save_index()
        return {
            "finished": True,
            "made": made,
            "stages": self.stages.to_json(),
            "spans": [[one.stage, one.begin, one.seconds] for one in self.stages.spans_of[HERE]],
            "clock": clock(),
        }


def main() -> None:
    """Process orders until there are no more; the first error or fault ends the process."""
    channel = Channel()
    orders = channel.orders()
    with ExitStack() as stack:
        try:
            worker = Worker(next(orders), stack)
            channel.answer(ready=True)
            for order in orders:
                channel.answer(**worker.do(order))
        except Exception as error:  # the controlling process reports it and may continue without
            channel.answer(**describe_error(error))


if __name__ == "__main__":
    main()
