"""Trains an encoder of scenes and measures it: ``python -m recipes.scenes_encoder``."""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from dissect.generators import load_generator
from dissect.inversion.encoder import SPACES, encoder_name, read_encoder
from dissect.worlds import render_scenes
from recipes.scenes_encoder.train import Length, evaluate, train
from segmenters.scenes import SIZE, load_network

_CARD = """# {title}

Encoder of images to {space} of `{name}` with the weights `{fingerprint}`, and of no others: a
residual network, {parameters:,} parameters, float16 safetensors, {size:,} bytes.

Trained by `recipes/scenes_encoder` on {first:,} images of the generator with their latents, then on
{second:,} images through the generator, half of them its own, half renders of `dissect.worlds`.
{start}No other data. Licence: that of this project.

Measured on {n_test:,} images of each kind that it has not seen, with the weights as shipped (MSE in
units of range²):

| images | MSE | PSNR | SSIM | MSE of the mean image |
|---|--:|--:|--:|--:|
{rows}

Its answer is where a search begins (`dissect invert --encoder own`), not the end of one. Made for
drawn scenes only; of photographs it makes scenes.
"""


def draw(indices: range, seed: int) -> Tensor:
    """Renders of the drawn world."""
    return render_scenes(indices, seed=seed, size=SIZE).images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for the state")
    parser.add_argument("--out", type=Path, help="folder for weights and card; as --work if absent")
    parser.add_argument("--generator", default="scenes-stylegan2", help="of 64 pixels, with w+")
    parser.add_argument("--space", choices=SPACES, default="w+", help="that it tells")
    parser.add_argument("--first", type=int, default=150_000, help="images of the first stage")
    parser.add_argument("--second", type=int, default=50_000, help="images of the second stage")
    parser.add_argument("--start", type=Path, help="encoder to begin from, of other weights too")
    parser.add_argument("--test", type=int, default=512, help="images of each kind to measure on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true", help="compute in bfloat16")
    parser.add_argument("--smoke", action="store_true", help="a few steps, then a check")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.work is None and not options.smoke:
        parser.error("expected --work FOLDER, outside the repository")
    if options.smoke:
        options.first, options.second, options.test = 32, 32, 8
    generator = load_generator(options.generator, device=options.device)
    features = load_network().to(options.device).unet.encoder
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        out = options.out or work
        out.mkdir(parents=True, exist_ok=True)
        start = None if options.start is None else read_encoder(options.start)
        encoder = train(
            work, generator, draw, Length(options.first, options.second, half=options.half),
            space=options.space, features=lambda x: features(x)[1:],
            start=None if start is None else start.network,
        )  # fmt: skip
        path = encoder.save(out / encoder_name(generator, options.space))
        scores = evaluate(
            read_encoder(path, device=options.device), generator, draw, n_images=options.test
        )
        card = _CARD.format(
            title=path.stem,
            name=generator.name,
            space=options.space,
            fingerprint=generator.fingerprint[:12],
            parameters=sum(one.numel() for one in encoder.network.parameters()),
            size=path.stat().st_size,
            first=options.first,
            second=options.second,
            start=""
            if start is None
            else f"It began from an encoder of the weights `{start.generator[:12]}`. ",
            n_test=options.test,
            rows="\n".join(
                f"| {kind} | {row['mse']:.4f} | {row['psnr']:.1f} | {row['ssim']:.3f} | "
                f"{row['mean_image_mse']:.4f} |"
                for kind, row in scores.items()
            ),
        )
        path.with_suffix(".md").write_text(card)
        print(json.dumps(scores | {"bytes": path.stat().st_size}, indent=1))


if __name__ == "__main__":
    main()
