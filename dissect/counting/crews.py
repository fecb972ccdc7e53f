"""The processes that count a run: local ones, or actors on a cluster of Ray."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dissect.config import RunConfig
from dissect.counting.pilot import KEPT_BYTES
from dissect.counting.worker import package_versions
from dissect.runs.partial import Workspace
from dissect.workers.cluster import AUTO, ray_crew
from dissect.workers.crew import Crew
from dissect.workers.local import LocalCrew, usable_cores
from segmenters.devices import find_device

WORKER = "dissect.counting.worker"


def number_of_workers(asked: int | str, n_blocks: int) -> int:
    """Number of counting processes: at most the number of blocks.

    Args:
        asked: The setting.
        n_blocks: Number of blocks of the run.
    """
    wanted = usable_cores() if asked == "auto" else int(asked)
    return max(1, min(wanted, n_blocks))


@contextmanager
def open_crew(
    generator: str,
    segmenter: str,
    *,
    workers: int | str | None,
    cluster: str | None,
    n_blocks: int,
    device: str,
) -> Iterator[Crew | None]:
    """Start processes that load the models of a run, while this one does.

    Args:
        generator, segmenter: Names of the models.
        workers: Number of processes, or ``"auto"``; None: 1 on this machine, ``"auto"`` on a
            cluster.
        cluster: Address of a cluster of Ray; None: this machine, without Ray.
        n_blocks: Number of blocks of the run.
        device: Device of the models.

    Yields:
        The processes; None if this process counts alone.

    Raises:
        SettingError: Ray is not installed, or no cluster answers.
    """
    greeting = {
        "generator": generator, "segmenter": segmenter, "device": device,
        "versions": package_versions(),
    }  # fmt: skip
    if cluster is not None:
        with ray_crew(
            cluster, WORKER, greeting, wanted=workers or AUTO, most=n_blocks,
            gpus=find_device(device).type == "cuda",
        ) as crew:  # fmt: skip
            yield crew
        return
    n_workers = number_of_workers(workers or 1, n_blocks)
    if n_workers == 1:
        yield None
        return
    threads = max(1, min(torch.get_num_threads(), usable_cores() // n_workers))
    with LocalCrew(WORKER, greeting, n_workers=n_workers, n_threads=threads) as crew:
        yield crew


def brief_crew(
    crew: Crew,
    workspace: Workspace,
    config: RunConfig,
    *,
    save_every: float,
    planes: Path | None,
    keep_spans: bool,
) -> None:
    """Send the run's settings to the processes.

    Args:
        crew: The processes.
        workspace: Workspace of the run.
        config: Settings of the run.
        save_every: Seconds between saves.
        planes: Folder of the mask cache, relative to that of the workspace; None: no cache.
        keep_spans: Record every stay in a stage.
    """
    crew.folder = workspace.folder
    crew.tell_all(
        do="brief", config=config.to_json(), out=str(workspace.out), key=workspace.key,
        save_every=save_every, planes=None if planes is None else str(planes),
        room=KEPT_BYTES // crew.n_here, spans=keep_spans,
    )  # fmt: skip
