"""Which space an image is inverted into best, and whether restoration beats plain answers.

    python -m benchmarks.inversion [--images 16] [--steps 300] [--generator NAME] [--json]

Images: samples of the generator itself (they can be found again), and fresh renders of scenes (it
has seen their like). For each space: mean MSE in units of range², PSNR and SSIM, and how long one
image took. Each task of restoration is measured on renders against its plain answer; what was seen
is put into the answer where a task can.
"""

import argparse
import json
import time

import torch
from torch import Tensor

from dissect.generators import load_generator
from dissect.generators.base import Generator
from dissect.inversion.degradations import parse_degradation
from dissect.inversion.optimise import invert
from dissect.inversion.quality import mean_squared_error, psnr, ssim
from dissect.inversion.restore import baseline, parse_task, restore
from dissect.inversion.settings import InversionSettings
from dissect.worlds import render_scenes

_RENDER_SEED, _SAMPLE_SEED = 60_000, 60_001
SPACES = ("z", "w", "w+", "s", "p", "p+")
# Task, how images are spoiled, the space that is searched and the weight of its prior.
TASKS = (
    ("colorize", "grey", "w+", 0.02),
    ("upscale:4", "down:4", "w+", 0.02),
    ("upscale:8", "down:8", "w+", 0.02),
    ("inpaint:hole:20,20,44,44", "hole:20,20,44,44", "w+", 0.02),
    ("denoise", "noise:40", "w+", 0.02),
)


def compare(drawn: Tensor, truth: Tensor) -> dict[str, float]:
    """Means over images."""
    return {
        "mse": round(mean_squared_error(drawn, truth).mean().item(), 6),
        "psnr": round(psnr(drawn, truth).mean().item(), 2),
        "ssim": round(ssim(drawn, truth).mean().item(), 4),
    }


def by_space(generator: Generator, images: Tensor, n_steps: int) -> dict[str, dict[str, float]]:
    """Reconstruction of images in each space."""
    rows = {}
    for space in SPACES:
        started = time.perf_counter()
        found = invert(generator, images, InversionSettings(space=space, n_steps=n_steps))
        seconds = (time.perf_counter() - started) / len(images)
        with torch.no_grad():
            drawn = torch.cat([generator.synthesize(one.latent) for one in found])
        rows[space] = compare(drawn, images) | {"seconds_per_image": round(seconds, 2)}
    return rows


def by_task(generator: Generator, images: Tensor, n_steps: int) -> dict[str, dict[str, object]]:
    """Restoration of spoiled renders, beside the plain answer."""
    rows: dict[str, dict[str, object]] = {}
    size, channels = generator.image_size, generator.channels
    for task, spoiled, space, prior in TASKS:
        degradation = parse_task(task)
        observed = parse_degradation(spoiled).observe(images, seed=0)
        settings = InversionSettings(space=space, n_steps=n_steps, prior=prior)
        found = restore(generator, observed, degradation, settings)
        answer = torch.cat([one.consistent for one in found])
        plain = baseline(observed, degradation, size, channels)
        better = (
            mean_squared_error(answer, images) < mean_squared_error(plain, images)
        ).double().mean()  # fmt: skip
        rows[task] = {
            "restored": compare(answer, images),
            "plain": compare(plain, images),
            "share_better": round(better.item(), 2),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", default="scenes-stylegan2")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    generator = load_generator(options.generator)
    n = options.images
    with torch.no_grad():
        samples = generator.synthesize(generator.sample(range(n), seed=_SAMPLE_SEED)).clamp(-1, 1)
    renders = render_scenes(range(n), seed=_RENDER_SEED, size=generator.image_size).images
    found = {
        "images": n,
        "steps": options.steps,
        "samples": by_space(generator, samples, options.steps),
        "renders": by_space(generator, renders, options.steps),
        "tasks": by_task(generator, renders, options.steps),
    }
    print(json.dumps(found) if options.json else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
