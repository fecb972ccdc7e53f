"""From a training's state to what the package ships: weights, a card, a sheet of samples.

``python -m recipes.scenes_gan.release --work FOLDER --family stylegan2 --weights dissect/weights``
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors import safe_open

from dissect.generators.base import Generator
from dissect.generators.families import load_file
from dissect.generators.pggan import PGGANNetwork, save_pggan
from dissect.generators.stylegan2 import StyleGAN2Network, save_stylegan2
from recipes.scenes_gan.families import PGGANFamily, StyleGAN2Family
from recipes.scenes_gan.quality import compare, samples
from recipes.scenes_gan.train import write_sheet
from segmenters.scenes import load_network

_CARD = """# {name}

{title}, 64 px, {parameters:,} parameters, float16 safetensors. Trained from nothing on renders of
`dissect.worlds` by `recipes/scenes_gan`; no other data. Licence: that of this project.

Seen {kimg:.0f} thousand images (with repetition), growing 16 → 32 → 64 px; the weights are the
running mean.

## How near it is to renders

Measured on {n_images:,} samples, none chosen or truncated, with the `scenes` segmenter
(`recipes/scenes_gan/quality.py` says what the distances are). The floor is the distance between two
sets of renders of the same size.

| | distance | floor |
|---|--:|--:|
| Fréchet, encoder features | {feature_distance:.2f} | {feature_floor:.2f} |
| Fréchet, % of image per object | {segmentation_distance:.2f} | {segmentation_floor:.2f} |

How often each concept is seen (at least 12 pixels) and how much it covers, as segmented:

| concept | in renders | in samples | area in renders | area in samples |
|---|--:|--:|--:|--:|
{rows}

## What it is not for

It knows one small drawn world and nothing of photographs. It was judged by a segmenter that was
trained on renders, which sees what it knows even in smeared shapes: read the shares together with
the sheet of samples in `docs/`.
"""


def read_mean(path: Path, network: torch.nn.Module) -> float:
    """Put a state's mean weights into a network; returns how many kimg it had seen."""
    with safe_open(path, framework="pt") as file:
        names = [key for key in file.keys() if key.startswith("mean/")]  # noqa: SIM118
        network.load_state_dict({key.removeprefix("mean/"): file.get_tensor(key) for key in names})
        return json.loads(file.metadata()["progress"])["kimg"]


@torch.no_grad()
def settle_mean_w(network: StyleGAN2Network, *, n: int = 20_000) -> None:
    """Set the mean of w to that of the mean weights' own mapping."""
    z = torch.randn(n, network.config.z_size, generator=torch.Generator().manual_seed(0))
    network.mapping.w_avg.copy_(network.mapping(z).mean(dim=0))


def build(family: str, state: Path, path: Path) -> tuple[Generator, float]:
    """Write the weights of a state and load them again as users will."""
    name = path.stem
    if family == "stylegan2":
        network = StyleGAN2Family().build()
        kimg = read_mean(state, network)
        settle_mean_w(network)
        save_stylegan2(network, path, half=True)
        return load_file(path, name=name), kimg
    network: PGGANNetwork = PGGANFamily().build()
    kimg = read_mean(state, network)
    save_pggan(network, path, half=True)
    return load_file(path, name=name), kimg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="the training's folder")
    parser.add_argument("--family", choices=["stylegan2", "pggan"], default="stylegan2")
    parser.add_argument("--weights", type=Path, default=Path("dissect/weights"))
    parser.add_argument("--sheets", type=Path, default=Path("docs"))
    parser.add_argument("--images", type=int, default=5000, help="samples to measure")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    name = f"scenes-{options.family}"
    for folder in (options.weights, options.sheets):
        folder.mkdir(parents=True, exist_ok=True)
    path = options.weights / f"{name}.safetensors"
    generator, kimg = build(
        options.family, options.work / options.family / "state.safetensors", path
    )
    first = next(iter(samples(generator, 64)))
    write_sheet(first, options.sheets / f"{name}.png", n_columns=8, zoom=2)
    scores = compare(generator, load_network(), n_images=options.images, say=print)
    rows = "\n".join(
        f"| {concept} | {v['render_present']:.2f} | {v['present']:.2f} "
        f"| {100 * v['render_share']:.1f} % | {100 * v['share']:.1f} % |"
        for concept, v in scores.pop("concepts").items()
    )
    card = _CARD.format(
        name=name,
        title={"stylegan2": "StyleGAN2, skip architecture", "pggan": "Progressive GAN"}[
            options.family
        ],
        parameters=sum(p.numel() for p in generator.module.parameters()),
        kimg=kimg,
        rows=rows,
        **scores,
    )
    (options.weights / f"{name}.md").write_text(card)
    print(json.dumps(scores | {"kimg": kimg, "bytes": path.stat().st_size}))


if __name__ == "__main__":
    main()
