"""Train the generators of scenes: ``python -m recipes.scenes_gan --work FOLDER``."""

import argparse
import tempfile
from pathlib import Path

import torch

from recipes.scenes_gan.data import prepare
from recipes.scenes_gan.families import PGGANFamily, StyleGAN2Family
from recipes.scenes_gan.train import Schedule, Stage, Training

# The shipped weights saw 12 thousand images (StyleGAN2 147 to 160, PGGAN 139 to 149) with R1 weight
# 2 at 64 px, at which the judge could hardly tell images apart, before it was lowered to 0.7.
FAMILIES = {"stylegan2": StyleGAN2Family, "pggan": PGGANFamily}
SCHEDULES = {
    "stylegan2": Schedule(
        stages=(
            Stage(size=16, until=64, batch=32, r1=0.5),
            Stage(size=32, until=147, batch=24, r1=0.7),
            Stage(size=64, until=1200, batch=16, r1=0.7),
        )
    ),
    "pggan": Schedule(
        stages=(
            Stage(size=16, until=80, batch=32, r1=0.5),
            Stage(size=32, until=139, batch=24, r1=0.7),
            Stage(size=64, until=800, batch=16, r1=0.7),
        )
    ),
}
SMOKE = Schedule(
    stages=(
        Stage(size=16, until=0.064, batch=8, r1=0.5),
        Stage(size=32, until=0.112, batch=8, r1=0.7),
        Stage(size=64, until=0.16, batch=8, r1=1.0),
    ),
    fade_kimg=0.03,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for data, state and sheets")
    parser.add_argument("--family", choices=sorted(FAMILIES), help="only this one")
    parser.add_argument("--images", type=int, default=49_152, help="scenes to train on")
    parser.add_argument("--until", type=float, help="stop after so many thousand images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="20 steps of each, then a check")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.smoke:
        options.images = 64
    elif options.work is None:
        parser.error("expected --work FOLDER, outside the repository")
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        images = prepare(work / "data", n_images=options.images, size=64)
        for name in [options.family] if options.family else FAMILIES:
            schedule = SMOKE if options.smoke else SCHEDULES[name]
            training = Training(FAMILIES[name](), schedule, images, work / name)
            training.run(until=options.until, every_kimg=0.08 if options.smoke else 4.0)
            print(f"{name}: {training.step} steps, {training.kimg:.1f} kimg, {training.state_path}")


if __name__ == "__main__":
    main()
