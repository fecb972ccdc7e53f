"""Train the segmenter of scenes and measure it: ``python -m recipes.scenes_segmenter``."""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from recipes.scenes_segmenter.train import evaluate, train
from segmenters.scenes import load_network, save_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for the state and the result")
    parser.add_argument("--images", type=int, default=120_000, help="renders to train on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="four steps, then a check")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.work is None and not options.smoke:
        parser.error("expected --work FOLDER, outside the repository")
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        network = train(work, n_images=128 if options.smoke else options.images)
        path = work / "scenes.safetensors"
        save_network(network, path)
        scores = evaluate(load_network(path), n_images=64 if options.smoke else 2000)
        scores["mean iou"] = sum(scores["iou"].values()) / len(scores["iou"])
        (work / "scores.json").write_text(json.dumps(scores, indent=1))
        print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
