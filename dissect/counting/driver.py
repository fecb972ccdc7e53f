"""The pass: from samples to joint counts, with one run of the generator and of the segmenter.

    run = dissect(load_generator("faces-dcgan"), load_segmenter("faces"), out="runs/faces")
    run.units("main.7")

A short pilot fixes the edges of each unit. Then every block of samples is generated, segmented and
counted; memory does not grow with the number of samples. If not all layers fit into the given
memory, groups of them get separate passes. Counts are saved every minute and on interruption,
beside the future folder; ``resume`` continues from there and gives the same bytes.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from dissect.config import RunConfig, RunOptions, RunSettings
from dissect.counting.count import PassCounter, empty_state
from dissect.counting.crews import brief_crew, open_crew
from dissect.counting.extending import check_keepable, find_extended
from dissect.counting.fitting import fit_bases
from dissect.counting.grouping import Group, divide
from dissect.counting.kept_pictures import KeptPictures, Pictures, PicturesOfMany
from dissect.counting.pilot import KEPT_BYTES, KeptBlocks, pilot_edges
from dissect.counting.planes import PlaneStore, cache_folder
from dissect.counting.samples import check_device, n_blocks
from dissect.counting.sharing import Shared, check_aside, count_shared, end_partial
from dissect.counting.stages import Stages, write_trace
from dissect.counting.status import Status
from dissect.counting.subject import Subject
from dissect.counting.top_images import unit_strips
from dissect.counting.trust import TrustOfRun
from dissect.errors import PartialRunError, SettingError
from dissect.generators import Generator, load_generator
from dissect.interrupt import deferred_interrupt
from dissect.memory import reused_memory
from dissect.progress import ProgressBar
from dissect.runs.lock import RunLock
from dissect.runs.partial import Workspace
from dissect.runs.read import Run, open_run
from dissect.runs.record import check_text
from dissect.runs.results import LayerResult, layer_results
from dissect.runs.state import PassState
from dissect.runs.strips import Strip
from dissect.runs.write import write_run
from dissect.settings import check_names, shows_settings
from dissect.settings.kinds import short
from dissect.sizes import parse_size
from dissect.tracing import resolve_layers
from segmenters import Segmenter, load_segmenter


@shows_settings(RunConfig, without=("generator", "segmenter", "layers"))
def dissect(
    generator: Generator | str | Path,
    segmenter: Segmenter | str,
    *,
    out: str | Path,
    layers: str | Sequence[str] = "all",
    device: str = "cpu",
    resume: bool = False,
    progress: bool = True,
    memory: str | int | None = None,
    cache: str | Path | None = None,
    save_every: float = 60.0,
    workers: int | str | None = None,
    cluster: str | None = None,
    no_strips: bool = False,
    keep_counts: bool = False,
    extend: int | None = None,
    profile: str | Path | None = None,
    **settings: Unpack[RunSettings],
) -> Run:
    """Dissect a generator: find the concept that each unit of its layers matches best.

    Args:
        generator: A generator, or a spec for ``load_generator``.
        segmenter: A segmenter, or a spec for ``load_segmenter``.
        out: Folder to write. If it already holds this run, that run is returned.
        layers: Names of layers, or ``"all"``; ``layer@basis`` reads a layer in other coordinates.
        device: Device for models that are given by name.
        resume: Continue an interrupted pass with the same settings, if there is one.
        progress: Show progress bars on stderr.
        memory: Memory limit of the process, such as ``"4GB"``; layers that do not fit together
            are counted in separate passes. The bytes of the run do not depend on it.
        cache: Folder that keeps masks for later runs over the same samples, ``"user"`` for one
            in the user's cache. The bytes of the run do not depend on it.
        save_every: Seconds between saves of the counts.
        workers: Processes that count at the same time, or ``"auto"``; needs models given by name.
            The bytes of the run do not depend on it. None: 1, with ``cluster`` as for ``"auto"``.
        cluster: Count on a cluster of Ray: its address, ``"auto"`` for the one that this machine
            belongs to, ``"local"`` for a new one on this machine alone.
        no_strips: Store no pictures of the top images of units.
        keep_counts: Keep the counts beside the run, so that ``extend`` can add samples later.
        extend: Number of samples that the run in ``out`` gets, of the same settings and with its
            counts kept; takes the place of ``n_samples``. The run that replaces it has the bytes
            of one of that many samples.
        profile: File for a trace of all stages, for a browser's trace viewer.
        **settings: Further fields of ``RunConfig``: ``n_samples``, ``seed``, ``threshold``, …

    Returns:
        The finished run.

    Raises:
        DissectError: a user's error, in one line; nothing that existed is lost.
        PartialRunError: blocks failed repeatedly; the run without them is in ``out``.

    Example:
        >>> run = dissect("dissect.worlds.planted:generator", "colour", out="runs/planted",
        ...               n_samples=64)
        >>> run.units("units").concept[0]
        'red'
    """
    if isinstance(generator, Path):
        generator = str(generator)
    generator_spec = _name_of("generator", generator)
    segmenter_spec = _name_of("segmenter", segmenter)
    # Settings are checked first, before slow loading of models.
    given: dict[str, Any] = {  # of any types
        "layers": layers, "device": device, "resume": resume, "progress": progress,
        "memory": memory, "cache": cache, "save_every": save_every, "workers": workers,
        "cluster": cluster, "no_strips": no_strips, "profile": profile,
        "keep_counts": keep_counts, "extend": extend,
    }  # fmt: skip
    RunOptions(**given)
    check_names(settings, [*RunSettings.__annotations__, *RunOptions.declared], of="dissect()")
    if extend is not None:
        settings["n_samples"] = extend
    config = RunConfig(generator_spec, segmenter_spec, (), **settings)
    if keep_counts:
        check_keepable(config)
    named = isinstance(generator, str) and isinstance(segmenter, str)
    for setting, value in {"workers": workers, "cluster": cluster}.items():
        if value not in (None, 1) and not named:
            raise SettingError(
                setting,
                f"is {value!r} with a model that is an object, which other processes cannot load; "
                "expected a generator and a segmenter by name; name them, or leave it out",
            )
    budget = None if memory is None else parse_size(memory)
    check_device(device)
    # Before models are loaded, so that an error comes at once.
    with RunLock(Path(out)) as lock:
        return _make_run(
            lock, generator, segmenter, (generator_spec, segmenter_spec), out=Path(out),
            layers=layers, device=device, resume=resume, progress=progress, budget=budget,
            cache=cache, save_every=save_every, workers=workers, cluster=cluster,
            no_strips=no_strips, profile=None if profile is None else Path(profile),
            settings=settings, keep_counts=keep_counts, extends=extend is not None,
        )  # fmt: skip


def _make_run(
    lock: RunLock,
    generator: Generator | str,
    segmenter: Segmenter | str,
    specs: tuple[str, str],
    *,
    out: Path,
    layers: str | Sequence[str],
    device: str,
    resume: bool,
    progress: bool,
    budget: int | None,
    cache: str | Path | None,
    save_every: float,
    workers: int | str | None,
    cluster: str | None,
    no_strips: bool,
    profile: Path | None,
    settings: RunSettings,
    keep_counts: bool,
    extends: bool,
) -> Run:
    """Load the models and make the run, as its only owner; see ``dissect``."""
    with ExitStack() as stack:
        stack.enter_context(reused_memory())
        helpers = stack.enter_context(ExitStack())
        # They load the models while this process does.
        crew = helpers.enter_context(
            open_crew(
                *specs, workers=workers, cluster=cluster, device=device,
                n_blocks=n_blocks(RunConfig(*specs, (), **settings)),
            )
        )  # fmt: skip
        if isinstance(generator, str):
            generator = load_generator(generator, device=device)
        if isinstance(segmenter, str):
            segmenter = load_segmenter(segmenter, device=device)
        chosen = tuple(map(str, resolve_layers(generator, layers)))
        config = RunConfig(*specs, chosen, **settings)
        check_text(config, generator, segmenter)
        subject = Subject.of(generator, segmenter, config)
        workspace = Workspace(out, subject.fingerprint, lock)
        if extends:
            workspace.extends = find_extended(workspace, subject)
        if workspace.finished():
            return open_run(out)
        stages = Stages(keep_spans=profile is not None)
        with workspace.claim(resume=resume):
            workspace.begin_extension()
            if budget is not None and crew is not None:
                budget //= crew.n_here
            groups = divide(subject, workspace.saved_passes(), budget)
            trust = TrustOfRun(subject)
            own = None if no_strips else stack.enter_context(_kept_pictures(workspace, subject))
            pictures: Pictures | None = own
            # With several passes, later ones use the masks of the first.
            shared = Path("planes") if len(groups) > 1 else None
            kept = cache_folder(cache)
            planes = shared if kept is None else kept.absolute()
            together: Shared | None = None
            if crew is not None:
                brief_crew(
                    crew, workspace, config, save_every=save_every, planes=planes,
                    keep_spans=profile is not None,
                )  # fmt: skip
                together = Shared(crew, workspace, stages, own)
                _share_groups(subject, groups, together, trust, progress=progress)
                helpers.close()  # strips and files need the memory
                if own is not None:
                    others = [
                        stack.enter_context(_kept_pictures(workspace, subject, name))
                        for name in sorted(together.pictures)
                    ]
                    pictures = PicturesOfMany(own, others)
            else:
                masks = PlaneStore(subject, None if planes is None else workspace.folder / planes)
                _count_groups(
                    subject, groups, workspace, masks, save_every=save_every,
                    progress=progress, pictures=own, trust=trust, stages=stages,
                )  # fmt: skip
            _score_and_write(workspace, subject, groups, pictures, trust, stages, progress=progress)
            problem = "" if together is None else end_partial(together, out)
            workspace.end_extension(keep=keep_counts and not problem)
        if profile is not None:
            write_trace(profile, stages)
        if problem:
            raise PartialRunError(problem)
        return open_run(out)


def _score_and_write(
    workspace: Workspace,
    subject: Subject,
    groups: Sequence[Group],
    pictures: Pictures | None,
    trust: TrustOfRun,
    stages: Stages,
    *,
    progress: bool,
) -> None:
    """Score the counts and publish the run."""
    generator, segmenter, config = subject.generator, subject.segmenter, subject.config
    finished = workspace.finished_state(tuple(subject.specs))
    subject = subject.with_bases(finished.bases)
    with stages.stage("score"):
        results = layer_results(finished, config, segmenter.vocabulary, subject.mixtures)
    with stages.stage("trust"):
        stored_trust = trust.finish(progress=progress)
    strips: Iterator[tuple[str, list[Strip]]] = iter(())
    if pictures is not None:
        strips = _strips(subject, groups, results, pictures, stages, progress=progress)
    with stages.stage("write"):
        write_run(
            workspace, config, generator, segmenter, finished, results, strips,
            stored_trust, trust.examples.strips(), grid=subject.grid,
            mixtures=subject.mixtures,
            stages=stages.to_json,
        )  # fmt: skip


def _name_of(what: str, model: object) -> str:
    """Name of a model in the settings of a run."""
    name = model if isinstance(model, str) else getattr(model, "name", None)
    if not isinstance(name, str):
        raise SettingError(
            what, f"is {short(model)}; expected a {what}, or how load_{what} finds one"
        )
    return name


def _kept_pictures(workspace: Workspace, subject: Subject, name: str | None = None) -> KeptPictures:
    """This process's file of pictures, or another process's finished one, by name."""
    image_size, native = subject.generator.image_size, subject.config.native
    if name is None:
        return KeptPictures(workspace.folder, image_size=image_size, native=native)
    return KeptPictures.reopen(workspace.folder, name, image_size=image_size, native=native)


def _share_groups(
    subject: Subject,
    groups: Sequence[Group],
    together: Shared,
    trust: TrustOfRun,
    *,
    progress: bool,
) -> None:
    """Run a pass of several processes for each group of layers that is not counted yet.

    Raises:
        RunError: blocks were skipped and there are several passes, which must use the same samples.
    """
    saved = together.workspace.saved_passes()
    for number, group in enumerate(groups):
        if number < len(saved) and saved[number].covered.holds(subject.n_blocks):
            continue
        count_shared(
            subject.only(group.layers), together, number=number, n_passes=len(groups),
            progress=progress, meanwhile=partial(trust.finish, progress=False),
        )  # fmt: skip
        if len(groups) > 1:
            check_aside(together, "layers are counted in several passes, which have to agree")


def _count_groups(
    subject: Subject,
    groups: Sequence[Group],
    workspace: Workspace,
    masks: PlaneStore,
    *,
    save_every: float,
    progress: bool,
    pictures: KeptPictures | None,
    trust: TrustOfRun,
    stages: Stages,
) -> None:
    """A pass for each group of layers that is not counted yet."""
    saved = workspace.saved_passes()
    for number, group in enumerate(groups):
        if number < len(saved) and saved[number].covered.holds(subject.n_blocks):
            continue
        part = subject.only(group.layers)
        room = KEPT_BYTES if group.spare is None else min(KEPT_BYTES, group.spare)
        with KeptBlocks(room, folder=workspace.folder) as kept:
            with stages.stage("pilot"):
                state = workspace.load(number) or start_pass(part, kept, progress=progress)
            state = workspace.merge_parts(state, number)
            count_pass(
                part.with_bases(state.bases), state, kept, workspace,
                number=number, n_passes=len(groups), save_every=save_every, progress=progress,
                masks=masks, pictures=pictures, trust=trust, stages=stages,
            )  # fmt: skip
        del state  # the next pass and the scores need the memory


def _strips(
    subject: Subject,
    groups: Sequence[Group],
    results: Mapping[str, LayerResult],
    pictures: Pictures,
    stages: Stages,
    *,
    progress: bool,
) -> Iterator[tuple[str, list[Strip]]]:
    """The strips of each layer, in the order of the passes."""
    for group in groups:
        chosen = {layer: results[layer] for layer in group.layers if layer in results}
        drawn = unit_strips(
            subject.only(group.layers).unmixed(), chosen, pictures, progress=progress
        )
        while True:
            with stages.stage("strips"):
                found = next(drawn, None)
            if found is None:
                break
            yield found


def start_pass(subject: Subject, kept: KeptBlocks | None = None, *, progress: bool) -> PassState:
    """State of zero samples, with all bases, and the edges of every unit from the pilot.

    Args:
        subject: Subject with the bases that need no samples.
        kept: Receives the blocks of the pilot.
        progress: Show progress bars.
    """
    fitted = fit_bases(subject, progress=progress)
    edges = pilot_edges(fitted, kept, progress=progress)
    start = PassState(
        edges=edges,
        counts={},
        together=np.zeros((0, 0), np.int64),
        overlap=np.zeros((0, 0), np.int64),
        bases=fitted.bases,
    )
    return empty_state(fitted, start)


def count_pass(
    subject: Subject,
    state: PassState,
    kept: KeptBlocks,
    workspace: Workspace,
    *,
    number: int = 0,
    n_passes: int = 1,
    save_every: float = 60.0,
    progress: bool,
    masks: PlaneStore | None = None,
    pictures: KeptPictures | None = None,
    trust: TrustOfRun | None = None,
    stages: Stages | None = None,
) -> None:
    """Count the remaining blocks; the workspace has the state afterwards.

    Args:
        subject: Subject with the layers of this pass and all their bases.
        state: State of this pass; its arrays are modified in place.
        kept: Blocks of the pilot that need not be generated again.
        workspace: Workspace in which the state is saved.
        number: Number of the pass, from 0.
        n_passes: Number of passes.
        save_every: Seconds between saves.
        progress: Show a progress bar.
        masks: Labels blocks; None segments each of them.
        pictures, trust, stages: See ``PassCounter``.
    """
    stages = stages or Stages()
    n_samples, size = subject.config.n_samples, subject.config.block
    saved = time.monotonic()
    counted = min(n_samples, len(state.covered) * size)
    bar = ProgressBar(
        total=n_samples,
        initial=counted,
        desc="dissect" if n_passes == 1 else f"dissect {number + 1}/{n_passes}",
        unit="image",
        disable=None if progress else True,
    )
    status = Status(
        workspace, stages, counted=counted, total=n_samples, before=number * n_samples,
        overall=n_passes * n_samples,
    )  # fmt: skip
    counter = PassCounter(
        subject, state, kept=kept, masks=masks, pictures=pictures, trust=trust, stages=stages
    )
    with counter, bar, deferred_interrupt() as interrupted:
        for place in state.covered.missing(subject.n_blocks):
            block = counter.add(place)
            bar.update(len(block.indices))
            status.add(len(block.indices))
            if interrupted() or time.monotonic() - saved > save_every:
                with stages.stage("save"):
                    workspace.save(counter.state, number)
                saved = time.monotonic()
            if interrupted():
                raise KeyboardInterrupt
    # The following steps can be interrupted too, without losing the pass.
    with stages.stage("save"):
        workspace.save(counter.state, number)
