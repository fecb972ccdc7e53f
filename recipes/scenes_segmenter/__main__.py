"""Train the segmenter of scenes and measure it: ``python -m recipes.scenes_segmenter``."""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from recipes.scenes_segmenter.train import evaluate, train
from segmenters.scenes import load_network, save_network
from segmenters.scenes_vocabulary import SCENES_VOCABULARY

_CARD = """# scenes

Segmenter of the {n_concepts} concepts and predictor of the {n_attributes} attributes of
`dissect.worlds`: one U-Net (segmentation-models-pytorch, encoder resnet10t, started from nothing)
with a head for the attributes on its deepest features. {parameters:,} parameters, float16
safetensors. It reads every image at 64 × 64 pixels.

Trained by `recipes/scenes_segmenter` on {n_images:,} renders, each seen once, bent, softened,
blotched and tinted so that a generator's images are not far from them. No other data. Licence: that
of this project.

Measured on {n_test:,} fresh renders (seed {seed}), nothing augmented, with the weights as shipped.

**Mean IoU over the concepts: {mean_iou:.3f}**

| concept | plane | IoU |
|---|---|--:|
{iou_rows}

| attribute | R² |
|---|--:|
{r2_rows}

Made for drawn scenes only; on photographs its answers mean nothing. On a generator's images its
errors are larger than here, and unmeasured, since those images have no truth.
"""


def write_card(path: Path, scores: dict, *, n_images: int, n_test: int, parameters: int) -> None:
    """Say in Markdown what the network is and how well it does."""
    path.write_text(
        _CARD.format(
            n_concepts=len(scores["iou"]),
            n_attributes=len(scores["r2"]),
            parameters=parameters,
            n_images=n_images,
            n_test=n_test,
            seed=scores["seed"],
            mean_iou=scores["mean iou"],
            iou_rows="\n".join(
                f"| {c.name} | {c.plane} | {scores['iou'][c.name]:.3f} |" for c in SCENES_VOCABULARY
            ),
            r2_rows="\n".join(f"| {name} | {value:.3f} |" for name, value in scores["r2"].items()),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for the state")
    parser.add_argument("--out", type=Path, help="folder for weights and card; as --work if absent")
    parser.add_argument("--images", type=int, default=40_000, help="renders to train on")
    parser.add_argument("--test", type=int, default=2000, help="renders to measure on")
    parser.add_argument("--seed", type=int, default=0, help="of first weights and renders")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="four steps, then a check")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.work is None and not options.smoke:
        parser.error("expected --work FOLDER, outside the repository")
    if options.smoke:
        options.images, options.test = 128, 64
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        out = options.out or work
        out.mkdir(parents=True, exist_ok=True)
        network = train(work, n_images=options.images, seed=options.seed)
        path = out / "scenes.safetensors"
        save_network(network, path)
        scores = evaluate(load_network(path), n_images=options.test)
        write_card(
            path.with_suffix(".md"),
            scores,
            n_images=options.images,
            n_test=options.test,
            parameters=sum(p.numel() for p in network.parameters()),
        )
        print(json.dumps(scores | {"bytes": path.stat().st_size}, indent=1))


if __name__ == "__main__":
    main()
