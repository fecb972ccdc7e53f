"""Trains scenes-clip on renders with captions and measures it: ``python -m recipes.tiny_clip``."""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from recipes.tiny_clip.card import write_card
from recipes.tiny_clip.crops import render_once
from recipes.tiny_clip.train import TRAIN_SEED, evaluate, release, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for renders and state")
    parser.add_argument("--out", type=Path, help="folder of the model and its card; WORK if absent")
    parser.add_argument("--images", type=int, default=80_000, help="crops to train on")
    parser.add_argument("--renders", type=int, default=6000, help="renders that they are cut from")
    parser.add_argument(
        "--start", type=Path, help="released folder to start from, not from nothing"
    )
    parser.add_argument("--test", type=int, default=500, help="renders to measure on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="two steps, then a check")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.work is None and not options.smoke:
        parser.error("expected --work FOLDER, outside the repository")
    if options.smoke:
        options.images, options.renders, options.test = 128, 64, 40
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        out = options.out or work
        work.mkdir(parents=True, exist_ok=True)
        render_once(work / "renders.npz", n_images=options.renders, seed=TRAIN_SEED)
        model = train(work, n_images=options.images, n_renders=options.renders, start=options.start)
        folder = out / "scenes-clip"
        release(model, folder)
        scores = evaluate(folder, n_images=options.test)
        write_card(
            out / "scenes-clip.md", scores, n_images=options.images, n_renders=options.renders,
            folder=folder, start=options.start,
        )  # fmt: skip
        print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
