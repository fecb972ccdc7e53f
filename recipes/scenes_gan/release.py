"""From a training's state to what the package ships: weights, a card, a sheet of samples.

``python -m recipes.scenes_gan.release --work FOLDER --family stylegan2 --vgg VGG16.safetensors``
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open

from dissect.generators.base import Generator
from dissect.generators.families import load_file
from dissect.generators.pggan import PGGANNetwork, save_pggan
from dissect.generators.stylegan2 import StyleGAN2Network, save_stylegan2
from recipes.scenes_gan.__main__ import FAMILIES
from recipes.scenes_gan.data import SEED
from recipes.scenes_gan.quality import (
    DISTANCES,
    Measured,
    compare,
    measure,
    reference,
    renders,
    samples,
)
from recipes.scenes_gan.train import Family, write_sheet
from segmenters.predictors.vgg16 import VGG16Trunk, load_vgg16
from segmenters.scenes import ScenesNetwork, load_network
from segmenters.scenes_vocabulary import SCENES_VOCABULARY

_TITLES = {
    "stylegan2": "StyleGAN2, skip architecture",
    "stylegan2-128": "StyleGAN2, skip architecture",
    "pggan": "Progressive GAN",
}
_NEAREST = 8  # samples that are shown beside the nearest renders

_CARD = """# {name}

{title}, {size} px, {parameters:,} parameters, float16 safetensors. Trained from nothing on renders
of `dissect.worlds` by `recipes/scenes_gan`; no other data. Licence: that of this project.

Seen {kimg:.0f} thousand images (with repetition); the weights are the running mean.

## How near it is to renders

Measured on {n_images:,} samples, none chosen or truncated; `recipes/scenes_gan/quality.py` says
what each number is. The floor is the value between two sets of renders of the same size.

{distances}

{rates}

How often each concept is seen (at least 12 pixels) and how much it covers, as segmented:

| concept | in renders | in samples | area in renders | area in samples |
|---|--:|--:|--:|--:|
{concepts}

## Has it copied?

The nearest of {n_training:,} training scenes to each of {n_samples} samples, in VGG16 features: a
sample is {sample_distance:.2f} away in the median, a fresh render {render_distance:.2f}. Copies
would be much nearer than fresh renders are. `docs/{name}-nearest.png` shows samples over their
nearest training scenes.

## What it is not for

It knows one small drawn world and nothing of photographs. Shares and counts were read by a
segmenter that was trained on renders, which sees what it knows even in smeared shapes: read them
together with the sheet of samples, `docs/{name}.png`.
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


def build(family: Family, state: Path, path: Path) -> tuple[Generator, float]:
    """Write the weights of a state and load them again as users will."""
    network = family.build()
    kimg = read_mean(state, network)
    if isinstance(network, StyleGAN2Network):
        settle_mean_w(network)
        save_stylegan2(network, path, half=True)
    else:
        assert isinstance(network, PGGANNetwork)  # the only other one
        save_pggan(network, path, half=True)
    return load_file(path, name=path.stem), kimg


def _table(title: str, columns: dict[str, dict[str, float]], names: dict[str, str]) -> str:
    """A Markdown table: one row for each name, one column for each set of values."""
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    lines += [
        f"| {shown} | "
        + " | ".join(f"{v[name]:.3g}" if name in v else "–" for v in columns.values())
        + " |"
        for name, shown in names.items()
        if any(name in v for v in columns.values())
    ]
    return "\n".join(lines)


@torch.no_grad()
def nearest_scenes(
    generator: Generator, vgg: VGG16Trunk, *, n_training: int, n_samples: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distances of samples and of fresh renders to their nearest training scene, and pictures.

    Returns:
        Distances of ``n_samples`` samples; of as many fresh renders; the first samples; under each
        of them the training scene that is nearest.
    """
    training = list(renders(n_training, seed=seed))
    kept = torch.cat([vgg.pooled(batch) for batch in training])
    drawn = list(samples(generator, n_samples))
    fresh = renders(n_samples, seed=42_000)
    from_samples = torch.cdist(torch.cat([vgg.pooled(b.clamp(-1, 1)) for b in drawn]), kept)
    from_renders = torch.cdist(torch.cat([vgg.pooled(b) for b in fresh]), kept)
    near = from_samples[:_NEAREST].argmin(dim=1)
    return (
        from_samples.amin(dim=1),
        from_renders.amin(dim=1),
        torch.cat(drawn)[:_NEAREST],
        torch.cat(training)[near],
    )


def describe(
    generator: Generator,
    network: ScenesNetwork,
    vgg: VGG16Trunk,
    *,
    family: str,
    kimg: float,
    n_images: int,
    before: Generator | None,
    sheets: Path,
    training_seed: int,
    say: Callable[[str], None] = print,
) -> tuple[str, dict[str, float]]:
    """Measure a generator: its card, and its distances."""
    first, second = reference(network, vgg, n_images=n_images, say=say)
    seen: dict[str, Measured] = {"samples": measure(samples(generator, n_images), network, vgg)}
    if before is not None:
        seen["weights before"] = measure(samples(before, n_images), network, vgg)
    distances = {name: compare(first, one) for name, one in seen.items()}
    distances["floor"] = compare(first, second)
    rates = {name: one.rates() for name, one in seen.items()} | {"renders": first.rates()}
    say("looking for copies")
    n_training, n_samples = 5000, 200
    from_samples, from_renders, drawn, nearest = nearest_scenes(
        generator, vgg, n_training=n_training, n_samples=n_samples, seed=training_seed
    )
    write_sheet(
        torch.cat([drawn, nearest]),
        sheets / f"{generator.name}-nearest.png",
        n_columns=_NEAREST,
        zoom=2,
    )
    drawn_by = seen["samples"]
    concepts = "\n".join(
        f"| {c.name} | {first.present[c.id - 1]:.2f} | {drawn_by.present[c.id - 1]:.2f} "
        f"| {100 * first.shares[c.id - 1]:.1f} % | {100 * drawn_by.shares[c.id - 1]:.1f} % |"
        for c in SCENES_VOCABULARY
    )
    card = _CARD.format(
        name=generator.name,
        title=_TITLES[family],
        size=generator.image_size,
        parameters=sum(p.numel() for p in generator.module.parameters()),
        kimg=kimg,
        n_images=n_images,
        distances=_table(
            "distance",
            distances,
            DISTANCES | {"precision": "precision", "recall": "recall"},
        ),
        rates=_table("counted", rates, {name: name for name in first.rates()}),
        concepts=concepts,
        n_training=n_training,
        n_samples=n_samples,
        sample_distance=from_samples.median().item(),
        render_distance=from_renders.median().item(),
    )
    return card, distances["samples"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="the training's folder")
    parser.add_argument("--family", choices=sorted(FAMILIES), default="stylegan2")
    parser.add_argument("--vgg", type=Path, required=True, help="weights of VGG16")
    parser.add_argument("--before", type=Path, help="weights to show beside the new ones")
    parser.add_argument("--weights", type=Path, default=Path("dissect/weights"))
    parser.add_argument("--sheets", type=Path, default=Path("docs"))
    parser.add_argument("--images", type=int, default=5000, help="samples to measure")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    name = {"stylegan2-128": "scenes128-stylegan2"}.get(options.family, f"scenes-{options.family}")
    for folder in (options.weights, options.sheets):
        folder.mkdir(parents=True, exist_ok=True)
    path = options.weights / f"{name}.safetensors"
    before = load_file(options.before, name="before") if options.before else None
    generator, kimg = build(
        FAMILIES[options.family](), options.work / options.family / "state.safetensors", path
    )
    first = next(iter(samples(generator, 64)))
    write_sheet(first, options.sheets / f"{name}.png", n_columns=8, zoom=2)
    card, distances = describe(
        generator,
        load_network(),
        load_vgg16(options.vgg),
        family=options.family,
        kimg=kimg,
        n_images=options.images,
        before=before,
        sheets=options.sheets,
        training_seed=SEED,
    )
    (options.weights / f"{name}.md").write_text(card)
    print(json.dumps(distances | {"kimg": kimg, "bytes": path.stat().st_size}))


if __name__ == "__main__":
    main()
