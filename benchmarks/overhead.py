"""Overhead of a dissection over the necessary forward passes.

    python -m benchmarks.overhead [--case small|real] [--samples N] [--grid N] [--whole] [--json]

In one process, alternating block by block: generator and segmenter alone, and the whole pass (pilot
and count, without scores, images and files). ``overhead_ratio`` is the second over the first.

With ``--whole``: a whole ``dissect()`` with strips, trust, scores and files over generating and
segmenting its samples once, also alternating block by block. ``whole_ratio`` is the first over the
second, both in processor time (user and system, all threads), because wall time includes other work
on the machine. ``stages`` lists the stages, each as a share of the second. During a run freed
memory is used again, which makes the forward passes faster too; ``over_a_script`` is the whole run
over forward passes without this, as a script makes them (some blocks before the run, some after).

``small``: the generator ``scenes-stylegan2`` of the zoo (0.5 M parameters, 64 pixels) with the
``scenes`` segmenter, all layers, 2,000 samples. ``real``: a StyleGAN2 of 256 pixels with layers of
512 channels and a SegFormer-B0 over 150 classes, both at random weights, five layers, 128 samples.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.config import RunConfig
from dissect.counting.driver import count_pass, dissect, start_pass
from dissect.counting.pilot import KEPT_BYTES, KeptBlocks
from dissect.counting.samples import mask_grid
from dissect.counting.subject import Subject
from dissect.errors import GeneratorError
from dissect.generators import Generator, load_generator
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.memory import highest_memory
from dissect.pictures import as_rgb
from dissect.runs.partial import Workspace
from recipes.scenes_gan.families import StyleGAN2Family
from segmenters import Segmenter, Vocabulary, load_segmenter

_WARM_UP = 16  # samples
_SCRIPTED = 4  # blocks


class RandomSegFormer:
    """A SegFormer-B0 without training: its time is real, its masks are not."""

    name = "random-segformer"

    def __init__(self, n_classes: int = 150) -> None:
        torch.manual_seed(0)
        self.network = smp.Segformer("mit_b0", encoder_weights=None, classes=n_classes + 1).eval()
        self.network.requires_grad_(False)
        rows = [(f"class {n}", "object", "object", "#808080") for n in range(n_classes)]
        self.vocabulary = Vocabulary.build(rows)
        self.fingerprint = "random"
        self.device = torch.device("cpu")

    def segment(self, images: Float[Tensor, "batch 3 h w"]) -> Int[Tensor, "batch 1 h w"]:
        return self.network(images).argmax(dim=1, keepdim=True)

    def score(self, images: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch concept h w"]:
        return self.network(images).softmax(dim=1)[:, 1:]


def small_case() -> tuple[Generator, Segmenter, tuple[str, ...], str]:
    """Models, layers and a note."""
    try:
        generator, note = load_generator("scenes-stylegan2"), "zoo weights"
    except GeneratorError:
        torch.manual_seed(0)
        network = StyleGAN2Family().build().eval().requires_grad_(False)
        generator, note = StyleGAN2(network, name="scenes-stylegan2"), "random weights"
    return generator, load_segmenter("scenes"), tuple(generator.layers), note


def real_case() -> tuple[Generator, Segmenter, tuple[str, ...], str]:
    """Models, layers and a note."""
    torch.manual_seed(0)
    config = StyleGAN2Config(256, (512, 512, 512, 512, 256, 128, 64))
    network = StyleGAN2Network(config).eval().requires_grad_(False)
    layers = ("b4.conv1", "b8.conv1", "b16.conv1", "b32.conv1", "b64.conv1")
    return (
        StyleGAN2(network, name="random-stylegan2-256"),
        RandomSegFormer(),
        layers,
        "random weights",
    )


CASES = {"small": (small_case, 2000), "real": (real_case, 128)}


@torch.no_grad()
def forward_only(
    generator: Generator, segmenter: Segmenter, indices: list[int], *, seed: int
) -> float:
    """Seconds for latents, images and masks of one block, without any analysis."""
    started = time.perf_counter()
    latent = generator.sample(indices, seed=seed)
    segmenter.segment(as_rgb(generator.synthesize(latent)))
    return time.perf_counter() - started


class Interleaved:
    """A generator that also times the bare forward passes before each block.

    Machines have slow phases, so both are timed in the same ones.

    Args:
        generator, segmenter: Models.
        seed: Seed of the run.
        clock: Returns seconds.

    Attributes:
        of_blocks: First sample of a block → seconds of its forward passes alone.
    """

    def __init__(
        self,
        generator: Generator,
        segmenter: Segmenter,
        seed: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._generator, self._segmenter, self._seed = generator, segmenter, seed
        self._clock = clock
        self.of_blocks: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds of all bare forward passes."""
        return sum(self.of_blocks.values())

    def __getattr__(self, name: str) -> object:
        return getattr(self._generator, name)

    def sample(self, indices: list[int], **settings: object) -> object:
        """As the generator's, after the block's bare forward passes were timed.

        If the pass generates a block twice, the forward passes are timed only once.
        """
        if indices[0] not in self.of_blocks:
            started = self._clock()
            forward_only(self._generator, self._segmenter, indices, seed=self._seed)
            self.of_blocks[indices[0]] = self._clock() - started
        return self._generator.sample(indices, **settings)


def whole_pass(
    generator: Generator, segmenter: Segmenter, config: RunConfig
) -> tuple[float, dict[str, float]]:
    """Seconds of the bare forward passes, and those of the pilot and of the count."""
    turns = Interleaved(generator, segmenter, config.seed)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "run", "benchmark")
        with workspace.claim(resume=False):
            started = time.perf_counter()
            with KeptBlocks(KEPT_BYTES, folder=workspace.folder) as kept:
                subject = Subject.of(turns, segmenter, config)
                state = start_pass(subject, kept, progress=False)
                pilot, in_pilot = time.perf_counter() - started, turns.seconds
                count_pass(subject.with_bases(state.bases), state, kept, workspace, progress=False)
    count = time.perf_counter() - started - pilot
    parts = {"pilot": pilot - in_pilot, "count": count - (turns.seconds - in_pilot)}
    return turns.seconds, parts


def seconds_of_a_script(generator: Generator, segmenter: Segmenter, n_samples: int) -> float:
    """Processor time of a plain loop over all samples, from that of its first blocks."""
    block = RunConfig(generator.name, segmenter.name, ()).block
    firsts = range(0, min(n_samples, _SCRIPTED * block), block)
    started = time.process_time()
    for first in firsts:
        forward_only(generator, segmenter, list(range(first, first + block)), seed=0)
    return (time.process_time() - started) * n_samples / (len(firsts) * block)


def measure_whole(case: str, n_samples: int | None) -> dict[str, object]:
    """A whole run over generating and segmenting its samples once."""
    make, usual = CASES[case]
    generator, segmenter, layers, note = make()
    settings = {"layers": layers, "progress": False}
    n_samples = n_samples or usual
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        # First calls compile and allocate.
        dissect(generator, segmenter, out=place / "warm", n_samples=_WARM_UP, **settings)
        scripted = [seconds_of_a_script(generator, segmenter, n_samples)]
        turns = Interleaved(generator, segmenter, 0, clock=time.process_time)
        started = time.process_time()
        run = dissect(turns, segmenter, out=place / "run", n_samples=n_samples, **settings)
        bare = turns.seconds
        whole = time.process_time() - started - bare
        scripted.append(seconds_of_a_script(generator, segmenter, n_samples))
        stages = {name: one["processor"] for name, one in run.record["stages"].items()}
        # The bare forward passes ran during these two.
        in_pilot = sum(s for first, s in turns.of_blocks.items() if first < run.config.pilot)
        stages["pilot"] -= in_pilot
        stages["generate"] -= bare - in_pilot
    return {
        "case": case,
        "weights": note,
        "units": sum(generator.layers[layer].units for layer in layers),
        "samples": n_samples,
        "threads": torch.get_num_threads(),
        "seconds": {"bare": round(bare, 2), "whole": round(whole, 2)},
        "stages": {name: round(seconds / bare, 3) for name, seconds in stages.items()},
        "whole_ratio": round(whole / bare, 3),
        "over_a_script": round(whole / statistics.mean(scripted), 3),
        "peak_memory_gb": round(highest_memory() / 1e9, 2),
    }


def measure(case: str, n_samples: int | None, grid: int | None = None) -> dict[str, object]:
    """Run one case once."""
    make, usual = CASES[case]
    generator, segmenter, layers, note = make()
    config = RunConfig(
        generator.name, segmenter.name, layers, n_samples=n_samples or usual, grid=grid
    )
    # First calls compile and allocate.
    warm = RunConfig(generator.name, segmenter.name, layers, n_samples=_WARM_UP)
    whole_pass(generator, segmenter, warm)
    bare, parts = whole_pass(generator, segmenter, config)
    whole = sum(parts.values())
    return {
        "case": case,
        "weights": note,
        "parameters": sum(p.numel() for p in generator.module.parameters()),
        "units": sum(generator.layers[layer].units for layer in layers),
        "concepts": len(segmenter.vocabulary),
        "samples": config.n_samples,
        "grid": mask_grid(generator, config),
        "threads": torch.get_num_threads(),
        "seconds": {
            "forward passes alone": round(bare, 2),
            **{name: round(seconds, 2) for name, seconds in parts.items()},
        },
        "overhead_ratio": round(whole / bare, 3),
        "peak_memory_gb": round(highest_memory() / 1e9, 2),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, help="both if left out")
    parser.add_argument("--samples", type=int, help="default: that of the case")
    parser.add_argument("--grid", type=int, help="mask grid; default: that of a run")
    parser.add_argument("--whole", action="store_true", help="whole runs, in processor time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cases = [options.case] if options.case else list(CASES)
    found = {
        case: measure_whole(case, options.samples)
        if options.whole
        else measure(case, options.samples, options.grid)
        for case in cases
    }
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
