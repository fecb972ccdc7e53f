"""Counting by the definition of GAN Dissection's own program, compared with ours.

    python -m benchmarks.peer [--images 500] [--iqr-images 100] [--json]

The *twin* implements the definition of the method's first program in loops of tensors, as its users
run them: for each image, and each label in it, one mask. It contains no code of that program.

- ``fixed``: a pass over the samples for the 0.995 quantile of each unit (a mergeable sketch of its
  values, at the layer's own resolution) and for its top images; a second pass that generates and
  segments every sample, resizes the maps to the mask and counts, for each label, the active pixels.
- ``iqr``: between the two, a pass that keeps a separate sketch of each unit's values for every
  label. It gives each unit's threshold: of 100 candidates the one with the highest mutual
  information over joint entropy.

Ours is the pilot and the pass: 48 thresholds, both kinds of chance, clusters, top images. Neither
includes scores, pictures and files, nor mixtures, which the other program does not have.
``with_mixtures`` is ours with them, the default. ``bare`` generates and segments every sample once.
All times are processor time in one process (on an accelerator: wall time), with the same models,
after a warm-up. Every figure is in milliseconds per image, so the slow ``iqr`` can use fewer images
than the rest.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 3.1.
    Karnin, Lang and Liberty, Optimal Quantile Approximation in Streams, FOCS 2016 (the sketch).
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from dissect import RunConfig, load_generator, load_segmenter, trace
from dissect.counting.driver import count_pass, start_pass
from dissect.counting.pilot import KEPT_BYTES, KeptBlocks
from dissect.counting.samples import make_images
from dissect.counting.subject import Subject
from dissect.runs.partial import Workspace
from dissect.statistics.scores import above

_TAIL = 0.005
_SKETCH = 1024  # values per level
_TOP = 8
_CANDIDATES = np.geomspace(1e-3, 1, 100)  # tail fractions


class Sketch:
    """Quantiles of a stream of values, separately for each unit.

    Values on level n have the weight 2ⁿ; a full level is sorted and every second value moves up.
    """

    def __init__(self, n_units: int) -> None:
        self._n_units = n_units
        self._levels: list[Tensor] = []
        self._filled: list[int] = []
        self._draw = torch.Generator().manual_seed(0)

    def add(self, values: Float[Tensor, "value unit"]) -> None:
        self._put(0, values)

    def _put(self, level: int, values: Float[Tensor, "value unit"]) -> None:
        if level == len(self._levels):
            self._levels.append(values.new_empty(_SKETCH, self._n_units))
            self._filled.append(0)
        while len(values):
            begin = self._filled[level]
            part = values[: _SKETCH - begin]
            self._levels[level][begin : begin + len(part)] = part
            self._filled[level] = begin + len(part)
            values = values[len(part) :]
            if self._filled[level] == _SKETCH:
                first = int(torch.randint(2, (), generator=self._draw))
                self._filled[level] = 0
                self._put(level + 1, self._levels[level].sort(dim=0).values[first::2].clone())

    def _all(self) -> tuple[Float[Tensor, "value unit"], Float[Tensor, "value"]]:
        """Values and their weights."""
        parts = [
            (level[:filled], level.new_full((filled,), 2.0**n))
            for n, (level, filled) in enumerate(zip(self._levels, self._filled, strict=True))
        ]
        return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])

    def quantiles(self, fractions: np.ndarray) -> Float[Tensor, "unit fraction"]:
        values, weights = self._all()
        values, order = values.sort(dim=0)
        reached = weights[order].cumsum(dim=0)
        wanted = values.new_tensor(fractions) * weights.sum()
        places = torch.searchsorted(reached.T.contiguous(), wanted.repeat(self._n_units, 1))
        return values.T.gather(1, places.clamp(max=len(values) - 1))

    def share_above(self, limits: Float[Tensor, "unit limit"]) -> Float[Tensor, "unit limit"]:
        values, weights = self._all()
        fires = values.T[:, None, :] > limits[:, :, None]
        return (fires * weights).sum(dim=2) / weights.sum()


class Twin:
    """The method's first program, implemented from its definition.

    Args:
        subject: Generator, segmenter, layers and grid.
        n_images: Number of samples.
    """

    def __init__(self, subject: Subject, n_images: int) -> None:
        self.subject, self.n_images = subject, n_images
        self.units = {layer: info.units for layer, info in subject.shapes.items()}

    def _batches(self):  # noqa: ANN202
        """Every batch, generated again: its samples, images and maps."""
        subject = self.subject
        size = subject.config.block
        for first in range(0, self.n_images, size):
            indices = list(range(first, min(first + size, self.n_images)))
            with trace(subject.generator, list(subject.config.layers)) as maps:
                images = make_images(subject.generator, subject.config, indices)
                yield indices, images, dict(maps)

    def _resized(self, maps: Float[Tensor, "unit h w"], labels: Tensor) -> Tensor:
        size = (labels.shape[-2], labels.shape[-1])
        return functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]

    def look(self) -> tuple[dict[str, Float[Tensor, " unit"]], dict[str, Tensor]]:
        """First pass: the quantile of each unit, and its top images."""
        sketches = {layer: Sketch(n) for layer, n in self.units.items()}
        peaks: dict[str, list[Tensor]] = defaultdict(list)
        for _, _, maps in self._batches():
            for layer, values in maps.items():
                sketches[layer].add(values.permute(0, 2, 3, 1).reshape(-1, values.shape[1]))
                peaks[layer].append(values.amax(dim=(2, 3)))
        top = {
            layer: torch.cat(found).topk(min(_TOP, self.n_images), dim=0).indices
            for layer, found in peaks.items()
        }
        limits = {
            layer: sketch.quantiles(np.array([1 - _TAIL]))[:, 0]
            for layer, sketch in sketches.items()
        }
        return limits, top

    def choose(self) -> dict[str, Float[Tensor, " unit"]]:
        """Pass of ``iqr``: the most informative threshold of each unit."""
        alone: dict[str, dict[int, Sketch]] = {layer: {} for layer in self.units}
        every = {layer: Sketch(n) for layer, n in self.units.items()}
        pixels: dict[int, int] = defaultdict(int)
        total = 0
        for _, images, maps in self._batches():
            planes = self.subject.segmenter.segment(images)
            for row, labels in enumerate(planes):
                total += labels[0].numel()
                for label in labels.unique().tolist():
                    if label:
                        pixels[label] += int((labels == label).any(dim=0).sum())
                for layer, values in maps.items():
                    own = self._resized(values[row], labels)
                    every[layer].add(own.flatten(1).T)
                    for label in labels.unique().tolist():
                        if label:
                            mask = (labels == label).any(dim=0)
                            sketch = alone[layer].setdefault(label, Sketch(len(own)))
                            sketch.add(own[:, mask].T)
        return {
            layer: self._best(every[layer], alone[layer], pixels, total) for layer in self.units
        }

    def _best(
        self, every: Sketch, alone: dict[int, Sketch], pixels: dict[int, int], total: int
    ) -> Float[Tensor, " unit"]:
        limits = every.quantiles(1 - _CANDIDATES)
        active = every.share_above(limits).double()
        best, chosen = torch.full((len(limits),), -1.0).double(), limits[:, 0].clone()
        for label, sketch in alone.items():
            share = pixels[label] / total
            both = sketch.share_above(limits).double() * share
            cells = torch.stack([both, active - both, share - both, 1 - active - share + both])
            cells = cells.clamp(min=1e-12)
            joint = -(cells * cells.log()).sum(dim=0)
            ones = torch.stack([active, 1 - active]).clamp(min=1e-12)
            of_unit = -(ones * ones.log()).sum(dim=0)
            of_concept = -(share * np.log(share) + (1 - share) * np.log(max(1 - share, 1e-12)))
            value, place = ((of_unit + of_concept - joint) / joint).max(dim=1)
            better = value > best
            chosen = torch.where(better, limits.gather(1, place[:, None])[:, 0], chosen)
            best = torch.where(better, value, best)
        return chosen

    def count(
        self, limits: dict[str, Float[Tensor, " unit"]]
    ) -> dict[str, Int[np.ndarray, "row unit"]]:
        """Last pass: pixels above the threshold, row 0 for all, row c for concept c."""
        n_rows = 1 + self.subject.n_concepts
        counts = {layer: np.zeros((n_rows, n), np.int64) for layer, n in self.units.items()}
        for _, images, maps in self._batches():
            planes = self.subject.segmenter.segment(images)
            for row, labels in enumerate(planes):
                for layer, values in maps.items():
                    fires = self._resized(values[row], labels) > limits[layer][:, None, None]
                    counts[layer][0] += fires.sum(dim=(1, 2)).cpu().numpy()
                    for label in labels.unique().tolist():
                        if label:
                            mask = (labels == label).any(dim=0)
                            own = (fires & mask).sum(dim=(1, 2))
                            counts[layer][label] += own.cpu().numpy()
        return counts

    @torch.no_grad()
    def fixed(self) -> dict[str, Int[np.ndarray, "row unit"]]:
        """The complete mode with a fixed quantile."""
        return self.count(self.look()[0])

    @torch.no_grad()
    def iqr(self) -> dict[str, Int[np.ndarray, "row unit"]]:
        """The complete mode that chooses thresholds by information."""
        self.look()
        return self.count(self.choose())


@torch.no_grad()
def bare(subject: Subject, n_images: int) -> None:
    """Generate and segment every sample once, without any analysis."""
    size = subject.config.block
    for first in range(0, n_images, size):
        indices = list(range(first, min(first + size, n_images)))
        subject.segmenter.segment(make_images(subject.generator, subject.config, indices))


def ours(subject: Subject):  # noqa: ANN201
    """Pilot and pass; returns the state."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "run", "benchmark")
        with (
            workspace.claim(resume=False),
            KeptBlocks(KEPT_BYTES, folder=workspace.folder) as kept,
        ):
            state = start_pass(subject, kept, progress=False)
            count_pass(subject.with_bases(state.bases), state, kept, workspace, progress=False)
            return workspace.load(0)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Processor time of a call; on an accelerator the time until it has finished."""
    if device.type == "cpu":
        started = time.process_time()
        work()
        return time.process_time() - started
    torch.accelerator.synchronize(device)
    started = time.perf_counter()
    work()
    torch.accelerator.synchronize(device)
    return time.perf_counter() - started


def largest_disagreement(subject: Subject) -> int:
    """Pixels by which our counts differ from the twin's at the same thresholds.

    For the calibration fold at the quantile edge; ``interpolate`` rounds positions in single
    precision, so a value next to the threshold may fall on the other side.
    """
    state = ours(subject)
    counts = {layer: above(one.histogram[0]) for layer, one in state.counts.items()}
    at = subject.quantile_edge
    n_images = calibrated(subject)
    twin, on = Twin(subject, n_images), subject.generator.device
    with torch.no_grad():
        expected = twin.count({layer: edges[:, at].to(on) for layer, edges in state.edges.items()})
    return max(int(np.abs(counts[layer][:, :, at] - expected[layer]).max()) for layer in counts)


def calibrated(subject: Subject) -> int:
    """Number of samples of the calibration fold."""
    from dissect.statistics import calibration_size  # noqa: PLC0415

    return calibration_size(subject.config.n_samples)


def measure(
    generator_name: str, segmenter_name: str, n_images: int, n_iqr: int, rounds: int, device: str
) -> dict[str, object]:
    """All measurements; each figure is the minimum of the rounds, since other work can only add."""
    generator = load_generator(generator_name, device=device)
    segmenter = load_segmenter(segmenter_name, device=device)

    def subject(n_samples: int, mixtures: int = 0) -> Subject:
        config = RunConfig(
            generator_name, segmenter_name, tuple(generator.layers), n_samples=n_samples,
            mixtures=mixtures,
        )  # fmt: skip
        return Subject.of(generator, segmenter, config)

    warm, whole = subject(64), subject(n_images)
    bare(warm, 64)
    ours(warm)
    Twin(warm, 32).fixed()
    Twin(warm, 8).iqr()
    default = RunConfig(generator_name, segmenter_name, ()).mixtures
    works: dict[str, tuple[Callable[[], object], int]] = {
        "bare": (lambda: bare(whole, n_images), n_images),
        "ours": (lambda: ours(whole), n_images),
        "with_mixtures": (lambda: ours(subject(n_images, default)), n_images),
        "fixed": (Twin(whole, n_images).fixed, n_images),
        "iqr": (Twin(whole, n_iqr).iqr, n_iqr),
    }
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, (work, n) in works.items():
            found[name].append(1000 * seconds(work, generator.device) / n)
    ms = {name: min(values) for name, values in found.items()}
    return {
        "fixed_over_ours": round(ms["fixed"] / ms["ours"], 2),
        "iqr_over_ours": round(ms["iqr"] / ms["ours"], 1),
        "ours_over_bare": round(ms["ours"] / ms["bare"], 2),
        "with_mixtures_over_bare": round(ms["with_mixtures"] / ms["bare"], 2),
        "ms_per_image": {name: round(value, 2) for name, value in ms.items()},
        "largest_disagreement_of_a_count": largest_disagreement(subject(min(64, n_images))),
        "device": str(generator.device),
        "generator": generator_name,
        "segmenter": segmenter_name,
        "units": sum(info.units for info in generator.layers.values()),
        "images": n_images,
        "iqr_images": n_iqr,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator", default="faces-dcgan", help="a DCGAN, by name or file")
    parser.add_argument("--segmenter", default="faces")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--iqr-images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="on one line")
    options = parser.parse_args()
    found = measure(
        options.generator, options.segmenter, options.images,
        min(options.iqr_images, options.images), options.rounds, options.device,
    )  # fmt: skip
    print(json.dumps(found) if options.json else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
