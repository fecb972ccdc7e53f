"""Trains DALL-E on drawn scenes and measures it: ``python -m recipes.scenes_dalle --work FOLDER``.

First the autoencoder, then the transformer. After an interruption, the same command continues.
``--minutes`` stops each of the two trainings early; their state then is released and measured.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from dissect.generators.dalle import DalleConfig, DalleGenerator, DalleWeights, save_dalle
from dissect.generators.discrete_vae import DiscreteVAE, VAEConfig
from dissect.generators.families import load_file
from dissect.generators.text_image_transformer import (
    TextImageTransformer,
    TransformerConfig,
    collect_words,
    split_words,
)
from dissect.worlds import render_scenes
from recipes.scenes_dalle.captions import prepare_captions
from recipes.scenes_dalle.measure import (
    TEST_SEED,
    compare,
    draw_captions,
    list_facts,
    own_captions,
    read_facts,
    table,
)
from recipes.scenes_dalle.train import encode, train_transformer, train_vae
from recipes.scenes_gan.data import prepare
from recipes.scenes_gan.train import write_sheet

NAME = "scenes-dalle"
_SPARE_WORDS = 4  # words of a caption beyond the longest training caption
_SHOWN = 32  # number of samples in the sheet
_N_VARIANTS = 2
_TESTED, _BLOCK = 1024, 128  # test scenes whose codes are counted, and of one batch

_CARD = """# {name}

DALL-E, 64 px: a discrete autoencoder ({vae:,} parameters, {n_codes} codes on a grid of {grid} ×
{grid}) and a transformer over {n_words} words and its codes ({transformer:,} parameters, depth
{depth}, width {width}); float16 safetensors, {size:,} bytes. Trained from nothing on renders of
`dissect.worlds` and their captions by `recipes/scenes_dalle`; no other data. Licence: that of this
project.

The autoencoder saw {vae_images:,} images, the transformer {images:,} with captions (of
{n_scenes:,} scenes); the weights are the running mean. Decoded from its own codes, an image of a
test scene is {error:.3f} off in the mean over pixels (range 2; {flat:.3f} for one colour per
channel). {n_tested:,} test scenes use {n_used} of its {n_codes} codes (as {n_evenly:.0f} that
were used equally often); {unused:.0%} never occur.

It makes images of {n_prompts} captions of test scenes, or of others:
`{name}?prompt=a house at night`. Words: {words}.

## What captions say, found in its images

One image for each of {n_captions} captions (seed {seed}, no scene of the training, none chosen),
guidance {guidance:g}. *Said*: share of images whose caption states it. *Chance*: of the other
images. *Renders*: of the scenes behind the captions, which is the best that the readers
(`scenes`) find.

{rows}

The last row counts statements; its chance is that of the same statement and another caption's
image.

{guidances}

## What it is not for

It knows one small drawn world and no word outside its list. Readers were trained on renders and see
what they know even in smeared shapes: read the shares together with the sheet of samples,
`docs/{name}.png`.
"""


def release(
    path: Path, vae: DiscreteVAE, transformer: torch.nn.Module, config: DalleConfig
) -> DalleGenerator:
    """Write the weights, and load them again as a user does."""
    weights = DalleWeights(config)
    weights.vae.load_state_dict(vae.state_dict())
    weights.transformer.load_state_dict(transformer.state_dict())
    save_dalle(weights, path, half=True)
    generator = load_file(path, name=NAME)
    assert isinstance(generator, DalleGenerator)
    return generator


@torch.no_grad()
def reconstruction(vae: DiscreteVAE, images: torch.Tensor) -> tuple[float, float]:
    """Mean |x̂ − x| of images from their own codes, and from the mean colour of each image."""
    made = vae.decode(vae.tokens(images))
    flat = images.mean(dim=(2, 3), keepdim=True)
    return (made - images).abs().mean().item(), (flat - images).abs().mean().item()


def code_use(tokens: torch.Tensor, n_codes: int) -> tuple[int, float]:
    """How many codes occur, and how many codes of equal frequency have the same entropy."""
    counts = tokens.flatten().bincount(minlength=n_codes)
    shares = counts[counts > 0] / counts.sum()
    return len(shares), torch.exp(-(shares * shares.log()).sum()).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for data and state")
    parser.add_argument("--out", type=Path, help="folder for weights and card; as --work if absent")
    parser.add_argument("--sheet", type=Path, help="PNG of samples; in --out if absent")
    parser.add_argument("--scenes", type=int, default=65_536, help="scenes to train on")
    parser.add_argument("--vae-images", type=int, default=262_144, help="seen by the autoencoder")
    parser.add_argument("--images", type=int, default=524_288, help="seen by the transformer")
    parser.add_argument("--minutes", type=float, help="stop each training after so many")
    parser.add_argument("--test", type=int, default=256, help="captions to measure on")
    parser.add_argument("--guidance", type=float, default=2.0, help="of the shipped generator")
    parser.add_argument("--top-k", type=int, default=128, help="codes that may be drawn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--half", action="store_true", help="train in bfloat16")
    parser.add_argument("--smoke", action="store_true", help="two steps of each, then a check")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.work is None and not options.smoke:
        parser.error("expected --work FOLDER, outside the repository")
    if options.smoke:
        options.scenes = options.vae_images = options.images = 64
        options.test = _SHOWN
    with tempfile.TemporaryDirectory() as spare:
        work = options.work or Path(spare)
        _train_and_release(options, work, options.out or work)


def _train_and_release(options: argparse.Namespace, work: Path, out: Path) -> None:
    given = {"minutes": options.minutes, "half": options.half}
    n = options.scenes
    images = prepare(work / "data", n_images=n, size=VAEConfig().size)
    vae, vae_images = train_vae(work, images, VAEConfig(), n_images=options.vae_images, **given)
    captions = prepare_captions(work / "data", n_images=n, n_variants=_N_VARIANTS)
    every = [text for texts in captions for text in texts]
    longest = max(len(split_words(text)) for text in every)
    tests = own_captions(options.test)
    sizes = TransformerConfig(
        collect_words(every + tests), n_words=longest + _SPARE_WORDS, grid=VAEConfig().grid
    )
    transformer, n_seen = train_transformer(
        work,
        encode(vae, images, half=options.half),
        captions,
        sizes,
        n_images=options.images,
        **given,
    )
    measure_and_release(
        options, out, vae, transformer, sizes, seen=(vae_images, n_seen, n), tests=tests
    )


def measure_and_release(
    options: argparse.Namespace,
    out: Path,
    vae: DiscreteVAE,
    transformer: TextImageTransformer,
    sizes: TransformerConfig,
    *,
    seen: tuple[int, int, int],
    tests: list[str],
) -> None:
    """Write weights, card and sheet.

    Args:
        options: Of the command.
        out: Folder for weights and card.
        vae, transformer: Trained.
        sizes: Of the transformer.
        seen: Images seen by each of the two, and scenes of the training set.
        tests: Captions to measure on, which the generator keeps as its own.
    """
    vae_images, n_seen, n = seen
    out.mkdir(parents=True, exist_ok=True)
    config = DalleConfig(VAEConfig(), sizes, tuple(tests), options.guidance, options.top_k)
    generator = release(out / f"{NAME}.safetensors", vae, transformer, config)

    facts = list_facts()
    rendered = render_scenes(range(len(tests)), seed=TEST_SEED).images
    on_renders = read_facts(iter(rendered.split(64)), facts)
    found = {}
    for guidance in sorted({1.0, options.guidance}):
        drawn = read_facts(draw_captions(generator.with_guidance(guidance), len(tests)), facts)
        found[guidance] = compare(tests, facts, drawn, on_renders)
    first = next(draw_captions(generator, _SHOWN))
    write_sheet(first, options.sheet or out / f"{NAME}.png", n_columns=8, zoom=2)
    error, flat = reconstruction(vae, rendered[:256])
    tested = render_scenes(range(_TESTED), seed=TEST_SEED).images.split(_BLOCK)
    codes = torch.cat([vae.tokens(images) for images in tested])
    n_used, n_evenly = code_use(codes, sizes.n_codes)
    guidances = ["| guidance | said | chance |", "|--:|--:|--:|"]
    for guidance, rows in found.items():
        whole = rows["all"]
        guidances.append(f"| {guidance:g} | {whole['said']:.3f} | {whole['chance']:.3f} |")
    path = out / f"{NAME}.safetensors"
    card = _CARD.format(
        name=NAME, vae=_count(vae), transformer=_count(transformer), n_codes=sizes.n_codes,
        grid=sizes.grid, n_words=len(sizes.words), depth=sizes.depth, width=sizes.width,
        size=path.stat().st_size, vae_images=vae_images, images=n_seen, n_scenes=n, error=error,
        flat=flat, n_prompts=len(tests), words=", ".join(sizes.words), n_captions=len(tests),
        n_tested=_TESTED, n_used=n_used, n_evenly=n_evenly, unused=1 - n_used / sizes.n_codes,
        seed=TEST_SEED, guidance=options.guidance, rows=table(found[options.guidance]),
        guidances="\n".join(guidances),
    )  # fmt: skip
    path.with_suffix(".md").write_text(card)
    about = {"bytes": path.stat().st_size, "images": n_seen}
    print(json.dumps(about | found[options.guidance]["all"]))


def _count(network: torch.nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


if __name__ == "__main__":
    main()
