"""Train the generators of scenes: ``python -m recipes.scenes_gan --work FOLDER``."""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from recipes.scenes_gan.data import prepare
from recipes.scenes_gan.families import CHANNELS_128, PGGANFamily, StyleGAN2Family
from recipes.scenes_gan.train import Schedule, Stage, Training
from segmenters.scenes import load_network

# The shipped PGGAN saw 10 thousand images (139 to 149) with R1 weight 2 at 64 px, at which the
# discriminator could hardly tell images apart, before it was lowered to 0.7.
FAMILIES = {
    "stylegan2": StyleGAN2Family,
    "stylegan2-128": lambda: StyleGAN2Family(CHANNELS_128, name="stylegan2-128"),
    "pggan": PGGANFamily,
}


def _at_full_size(size: int) -> Schedule:
    """Both discriminators, no growing; half the rate after a million images."""
    return Schedule(
        stages=(
            Stage(size=size, until=1000, batch=32, r1=1.0),
            Stage(size=size, until=3000, batch=32, r1=1.0, rate=0.001),
        ),
        mean_half_life_kimg=16.0,
        projected=1.0,
        pixel=0.3,
    )


SCHEDULES = {
    "stylegan2": _at_full_size(64),
    "stylegan2-128": _at_full_size(128),
    "pggan": Schedule(
        stages=(
            Stage(size=16, until=80, batch=32, r1=0.5),
            Stage(size=32, until=139, batch=24, r1=0.7),
            Stage(size=64, until=800, batch=16, r1=0.7),
        )
    ),
}


def smoke(schedule: Schedule) -> Schedule:
    """A schedule cut to twenty steps of eight images."""
    kimg = (0.064, 0.112, 0.16)[-len(schedule.stages) :]
    stages = tuple(
        replace(stage, until=end, batch=8) for stage, end in zip(schedule.stages, kimg, strict=True)
    )
    return replace(schedule, stages=stages, fade_kimg=0.03)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for data, state and sheets")
    parser.add_argument("--family", choices=sorted(FAMILIES), help="only this one")
    parser.add_argument("--images", type=int, default=98_304, help="scenes to train on")
    parser.add_argument("--until", type=float, help="stop after so many thousand images")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes of training")
    parser.add_argument("--batch", type=int, help="images per step, instead of the schedule's")
    parser.add_argument("--start", type=Path, help="weights to begin from, of --save-start")
    parser.add_argument("--save-start", type=Path, help="write such weights at the end")
    parser.add_argument(
        "--segmenter",
        type=Path,
        help="weights of recipes.scenes_segmenter with a --seed of their own, for proportions",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true", help="compute in bfloat16")
    parser.add_argument("--smoke", action="store_true", help="20 steps of each, then a check")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.smoke:
        options.images = 64
    elif options.work is None:
        parser.error("expected --work FOLDER, outside the repository")
    if options.family is None and (options.start or options.save_start):
        parser.error("--start and --save-start are for one family; expected --family too")
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        for name in [options.family] if options.family else FAMILIES:
            schedule = smoke(SCHEDULES[name]) if options.smoke else SCHEDULES[name]
            if options.batch:
                stages = tuple(replace(stage, batch=options.batch) for stage in schedule.stages)
                schedule = replace(schedule, stages=stages)
            size = schedule.stages[-1].size
            training = Training(
                FAMILIES[name](),
                schedule,
                prepare(work / "data", n_images=options.images, size=size),
                work / name,
                device=options.device,
                half=options.half,
                start=options.start,
                segmenter=load_network(options.segmenter) if options.segmenter else None,
            )
            training.run(
                until=options.until,
                every_kimg=0.08 if options.smoke else 8.0,
                minutes=options.minutes,
            )
            if options.save_start:
                training.save_start(options.save_start)
            print(f"{name}: {training.step} steps, {training.kimg:.1f} kimg, {training.state_path}")


if __name__ == "__main__":
    main()
