"""One of several processes that count a run; ``dissect.counting.sharing`` sends the orders.

The first order names the models. Large arrays are never sent: they are in files beside the future
run folder, and orders and answers name these files.

    brief   settings of the run
    pilot   generate some blocks, write their values to the shared file, keep the blocks
    edges   choose the edges of some units from the values of all processes
    begin   count the following blocks into a separate part
    count   count a block, and save the part if it is time
    save    save the part
    finish  save the part, and return the name of the picture file
"""

import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from dissect.config import RunConfig
from dissect.counting.count import PassCounter, empty_state
from dissect.counting.kept_pictures import KeptPictures
from dissect.counting.pilot import KeptBlocks, PilotValues, known_values, values_per_image
from dissect.counting.planes import PlaneStore
from dissect.counting.stages import HERE, Stages
from dissect.counting.subject import Subject
from dissect.errors import DissectError, RunError
from dissect.generators import load_generator
from dissect.memory import resident_memory
from dissect.runs.partial import Workspace
from dissect.statistics.edges import edges_from_values, tail_fractions
from dissect.workers.channel import Channel
from segmenters import load_segmenter


def pilot_file(folder: Path, subject: Subject, layer: str, mode: str) -> Float[np.ndarray, "u v"]:
    """The values of a layer's units over the pilot, in a file that all processes fill.

    Args:
        folder: Folder of the workspace.
        subject: Subject with all bases.
        layer: A layer of the subject.
        mode: Mode of ``numpy.memmap``.
    """
    place = list(subject.specs).index(layer)
    n_values = subject.n_pilot * values_per_image(subject.grid, subject.n_pilot)
    shape = (subject.shapes[layer].units, n_values)
    return np.memmap(folder / f"pilot-{place}.values", np.float32, mode, shape=shape)  # type: ignore[call-overload]


class Worker:
    """State of the process.

    Args:
        order: The first order.
        stack: Closes open resources.
    """

    def __init__(self, order: Mapping[str, Any], stack: ExitStack) -> None:
        torch.set_num_threads(order["threads"])
        self._stack, device = stack, order["device"]
        self._models = (
            load_generator(order["generator"], device=device),
            load_segmenter(order["segmenter"], device=device),
        )
        self._values: PilotValues | None = None
        self._counter: PassCounter | None = None
        self._kept: KeptBlocks | None = None
        self._pictures: KeptPictures | None = None

    def _brief(self, order: Mapping[str, Any]) -> dict[str, object]:
        self._order = order
        self._whole = Subject.of(*self._models, RunConfig.from_json(order["config"]))
        self.workspace = Workspace(Path(order["out"]), order["key"])
        if self._whole.fingerprint != order["key"]:
            raise RunError(
                "the models changed while the run was made; expected those that it began with; "
                "start again in another --out"
            )
        self.subject = self._whole
        self.stages = Stages(keep_spans=order["spans"])
        self._saved, self._pass, self._part = time.monotonic(), 0, ""
        planes = order["planes"]
        self._masks = PlaneStore(self._whole, None if planes is None else Path(planes))
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
        if self._values is None:
            self._open(order["layers"])
            subject, folder = self.subject, self.workspace.folder
            stored = {layer: pilot_file(folder, subject, layer, "r+") for layer in subject.specs}
            self._values = PilotValues(
                {layer: info.units for layer, info in subject.shapes.items()},
                grid=subject.grid, n_pilot=subject.n_pilot, seed=subject.config.seed,
                nearest=subject.config.native, stored=stored,
            )  # fmt: skip
        with self.stages.stage("pilot"):
            block = self.subject.block(order["block"])
            self._values.add(block)
        self._keep().offer(order["block"], block)
        return {"done": order["block"]}

    def _edges(self, order: Mapping[str, Any]) -> dict[str, object]:
        self._values = None
        if self.subject is self._whole:  # it did not run the pilot
            self._open(order["layers"])
        with self.stages.stage("pilot"):
            layer, first, last = order["units"]
            values = pilot_file(self.workspace.folder, self.subject, layer, "r")
            fractions = tail_fractions(self.subject.config.tail)
            edges = edges_from_values(known_values(np.array(values[first:last])), fractions)
        name = f"edges-{order['task']}.npy"
        # In rows: the memory layout affects the rounding of sums.
        content = np.ascontiguousarray(edges.numpy())
        np.save(self.workspace.folder / name, content, allow_pickle=False)
        return {"done": order["task"]}

    def _begin(self, order: Mapping[str, Any]) -> dict[str, object]:
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
        if late:
            self._save(order)
        return {
            "done": order["block"],
            "samples": len(block.indices),
            "saved": late,
            "memory": resident_memory(),
        }

    def _save(self, order: Mapping[str, Any]) -> dict[str, object]:
        assert self._counter is not None
        with self.stages.stage("save"):
            self.workspace.save_part(self._counter.state, self._pass, self._part)
        self._saved = time.monotonic()
        return {"saved": True}

    def _finish(self, order: Mapping[str, Any]) -> dict[str, object]:
        self._save(order)
        if self._pictures is not None:
            self._pictures.save_index()
        return {
            "finished": True,
            "stages": self.stages.to_json(),
            "spans": [[one.stage, one.begin, one.seconds] for one in self.stages.spans_of[HERE]],
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
        except DissectError as error:
            channel.answer(mistake=str(error), kind=type(error).__name__)
        except Exception:  # the controlling process reports it and may continue without
            channel.answer(fault=traceback.format_exc())


if __name__ == "__main__":
    main()
