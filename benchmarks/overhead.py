"""What a dissection adds to the forward passes that it cannot do without.

    python -m benchmarks.overhead [--case small|real] [--samples N] [--json]

In one process, over the same blocks: generator and segmenter alone, then the whole pass (pilot and
count, without scores, images and files). ``overhead_ratio`` is the second over the first.

``small``: the generator ``scenes-stylegan2`` of the zoo (0.5 M parameters, 64 pixels) with the
``scenes`` segmenter, all layers, 2,000 samples. ``real``: a StyleGAN2 of 256 pixels with layers of
512 channels and a SegFormer-B0 over 150 classes, both at random weights, five layers, 64 samples.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.config import RunConfig
from dissect.dissection import count_pass, start_pass
from dissect.errors import GeneratorError
from dissect.generators import Generator, load_generator
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.memory import highest_memory
from dissect.pilot import KEPT_BYTES, KeptBlocks
from dissect.runs.partial import Workspace
from dissect.samples import as_rgb, block_indices, n_blocks
from recipes.scenes_gan.families import StyleGAN2Family
from segmenters import Segmenter, Vocabulary, load_segmenter

_WARM_UP = 16  # samples


class RandomSegFormer:
    """A SegFormer-B0 that was never trained: its time is real, its masks are not."""

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


CASES = {"small": (small_case, 2000), "real": (real_case, 64)}


@torch.no_grad()
def forward_only(
    generator: Generator, segmenter: Segmenter, config: RunConfig, blocks: range
) -> float:
    """Seconds of latents, images and masks alone, nothing looked at."""
    started = time.perf_counter()
    for number in blocks:
        latent = generator.sample(block_indices(number, config), seed=config.seed)
        segmenter.segment(as_rgb(generator.synthesize(latent)))
    return time.perf_counter() - started


def whole_pass(generator: Generator, segmenter: Segmenter, config: RunConfig) -> dict[str, float]:
    """Seconds of the pilot and of the count."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "run", "benchmark")
        with workspace.claim(resume=False):
            started = time.perf_counter()
            with KeptBlocks(KEPT_BYTES, folder=workspace.folder) as kept:
                state = start_pass(generator, segmenter, config, kept, progress=False)
                pilot = time.perf_counter() - started
                count_pass(generator, segmenter, config, state, kept, workspace, progress=False)
    return {"pilot": pilot, "count": time.perf_counter() - started - pilot}


def measure(case: str, n_samples: int | None = None) -> dict[str, object]:
    """Run one case once."""
    make, usual = CASES[case]
    generator, segmenter, layers, note = make()
    config = RunConfig(
        generator.name, segmenter.name, layers, n_samples=n_samples or usual, truncation=1.0
    )
    # First calls compile and allocate.
    warm = RunConfig(generator.name, segmenter.name, layers, n_samples=_WARM_UP)
    whole_pass(generator, segmenter, warm)
    # Half of the bare work before and half after, so that a slow spell of the machine hits both.
    blocks = n_blocks(config)
    bare = forward_only(generator, segmenter, config, range(blocks // 2))
    parts = whole_pass(generator, segmenter, config)
    bare += forward_only(generator, segmenter, config, range(blocks // 2, blocks))
    whole = sum(parts.values())
    return {
        "case": case,
        "weights": note,
        "parameters": sum(p.numel() for p in generator.module.parameters()),
        "units": sum(generator.layers[layer].units for layer in layers),
        "concepts": len(segmenter.vocabulary),
        "samples": config.n_samples,
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
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cases = [options.case] if options.case else list(CASES)
    found = {case: measure(case, options.samples) for case in cases}
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
