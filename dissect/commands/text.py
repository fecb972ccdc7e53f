"""The command ``text``: images are edited by words.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dissect.commands.command import (
    Command,
    WeightsOptions,
    find_generator,
    nothing_kept,
    print_json,
    write_file,
)
from dissect.config import RunOptions
from dissect.directions.question import RELEVANCE
from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, setting

if TYPE_CHECKING:
    from dissect.generators.base import Generator
    from dissect.text.scorer import TextScorer


class TextOptions(Settings):
    """The model of images and words, the sample, and the output."""

    out: str = setting("edit, generate: PNG to write; directions: folder", metavar="PATH")
    model: str = setting(
        "scenes-clip, a folder of open_clip, or ARCHITECTURE@FILE",
        default="scenes-clip", metavar="MODEL",
    )  # fmt: skip
    sample: int = setting("edit: sample of the seed", default=0, at_least=0)
    of_seed: int = setting("seed of the samples", default=0, at_least=0, flag="--seed")


class OptimiseOptions(Settings):
    """The optimisation of ``edit``."""

    steps: int = setting("edit: steps of Adam", default=100, at_least=0)
    rate: float = setting("edit: Adam's learning rate", default=0.1, above=0)
    keep_near: float = setting("edit: weight of staying near the start", default=0.008, at_least=0)
    crops: int = setting("edit: crops of the image in each step", default=4, at_least=0)


class EffectsOptions(Settings):
    """The measurement behind ``directions``."""

    effects: str | None = setting(
        "directions: file with the effects of channels, written or continued; default: "
        "effects.safetensors in the folder's parent",
        default=None, metavar="FILE",
    )  # fmt: skip
    images: int = setting(
        "directions: images in which each channel is moved", default=20, at_least=1
    )
    screened: float = setting(
        "directions: share of channels that are measured, those of the largest estimated effect",
        default=0.25, above=0, at_most=1,
    )  # fmt: skip
    relevance: float = setting(
        "directions: channels whose part in the text's direction is smaller are left out (β)",
        default=RELEVANCE, at_least=0,
    )  # fmt: skip


class GenerateOptions(Settings):
    """The samples of ``generate``."""

    samples: int = setting("generate: samples drawn, from 0 of the seed", default=16, at_least=1)
    keep: int = setting("generate: how many are kept, the nearest first", default=4, at_least=1)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=list(_ACTIONS))
    parser.add_argument("generator", metavar="GENERATOR", help="as dissect run takes it")
    parser.add_argument(
        "words", nargs="+", metavar="WORDS",
        help="edit, generate: one text · directions: the target and the neutral one, in quotes",
    )  # fmt: skip
    for settings in (TextOptions, OptimiseOptions, EffectsOptions, GenerateOptions):
        add_settings(parser, settings)
    add_settings(parser, RunOptions, "device")
    add_settings(parser, WeightsOptions)


def _text(options: argparse.Namespace) -> None:
    n_words, expected, action = _ACTIONS[options.action]
    if len(options.words) != n_words:
        raise ConfigError(
            f"text {options.action} was given {len(options.words)} texts; expected {expected}, "
            "each in quotes"
        )
    action(options)


def _open(options: argparse.Namespace, *, n_crops: int = 0) -> "tuple[Generator, TextScorer]":
    from dissect.generators import load_generator
    from dissect.text.scorer import TextScorer
    from segmenters.clip_models import load_clip
    from segmenters.devices import find_device

    generator = load_generator(find_generator(options), device=options.device)
    clip = load_clip(options.model, device=find_device(options.device))
    for text in options.words:
        unknown = clip.unknown_words(text)
        if unknown:
            raise ConfigError(
                f"{clip.name} never saw the word {unknown[0]!r}; expected words that it knows, or "
                "another model; give --model FOLDER"
            )
    templates = clip.known_templates()
    return generator, TextScorer(clip, templates=templates, n_crops=n_crops)


def _edit(options: argparse.Namespace) -> None:
    import torch

    from dissect.pictures import side_by_side
    from dissect.text.optimise import optimise

    text = options.words[0]
    with nothing_kept("no image was written"):
        generator, scorer = _open(options, n_crops=options.crops)
        latent = generator.sample([options.sample], seed=options.of_seed)
        if "w+" in generator.spaces:
            latent = generator.convert(latent, "w+")
        done = optimise(
            generator, scorer, latent, text, n_steps=options.steps, rate=options.rate,
            keep=options.keep_near, progress=not options.quiet,
        )  # fmt: skip
        with torch.no_grad():
            images = [generator.synthesize(one) for one in (latent, done.latent)]
            near = [float(scorer.cosine(one, [text])) if text.strip() else 1.0 for one in images]
        write_file(Path(options.out), side_by_side([one.cpu() for one in images]))
    if options.json:
        print_json(
            {
                "file": options.out,
                "text": text,
                "cosine": dict(zip(("before", "after"), near, strict=True)),
            }
        )
        return
    print(f"cosine with {text!r}: {near[0]:.3f} before, {near[1]:.3f} after\n\nopen {options.out}")


def _directions(options: argparse.Namespace) -> None:
    from dissect.directions.folder import DirectionFolder, write_folder
    from dissect.directions.strips import draw_random_strip, draw_strip
    from dissect.text.channel_effects import measure_effects
    from dissect.text.global_directions import global_edit

    target, neutral = options.words
    out = Path(options.out)
    effects_file = options.effects or out.parent / "effects.safetensors"
    # What was measured is kept in its file; the same command goes on with it.
    with nothing_kept(f"what was measured is in {effects_file}; run the same command again"):
        generator, scorer = _open(options)
        effects = measure_effects(
            generator, scorer, n_images=options.images, keep=options.screened,
            seed=options.of_seed, out=effects_file, progress=not options.quiet,
        )  # fmt: skip
        edit = global_edit(effects, scorer, target, neutral, threshold=options.relevance)
        if edit.direction is None:
            raise ConfigError(
                f"{target!r} and {neutral!r} are the same words, whose edit changes nothing; "
                "expected two texts that differ"
            )
        strips = [draw_strip(generator, edit.direction, seed=options.of_seed)]
        random_strip = draw_random_strip(generator, edit.direction, seed=options.of_seed)
        about = {"name": generator.name, "fingerprint": generator.fingerprint}
        folder = DirectionFolder(out, (edit.direction,), about, edit.direction.provenance.method)
        write_folder(folder, strips, random_strip)
    first = [
        {"layer": layer, "channel": number, "relevance": float(edit.relevance[channel])}
        for channel in edit.passed[:10]
        for layer, number in [effects.statistics.place(channel)]
    ]
    if options.json:
        print_json(
            {
                "folder": str(out),
                "effects": str(effects_file),
                "measured": int(effects.measured.sum()),
                "channels": len(edit.passed),
                "first": first,
            }
        )
        return
    print(
        f"{len(edit.passed)} of {int(effects.measured.sum())} measured channels pass "
        f"β = {options.relevance:g}"
    )
    for one in first:
        print(f"  {one['layer']} {one['channel']}: {one['relevance']:+.3f}")
    print(f"\ndissect directions apply {options.generator} {out} 0 --out strip.webp")


def _generate(options: argparse.Namespace) -> None:
    from dissect.generators.prompts import TEXT_OPTION, set_prompts
    from dissect.pictures import side_by_side
    from dissect.text.reranking import rerank

    text = options.words[0]
    with nothing_kept("no image was written"):
        generator, scorer = _open(options)
        drawn = rerank(
            set_prompts(generator, TEXT_OPTION, text), scorer, text,
            n_samples=options.samples, keep=options.keep, seed=options.of_seed,
        )  # fmt: skip
        write_file(Path(options.out), side_by_side([one[None].cpu() for one in drawn.images]))
    kept = [
        {"sample": index, "cosine": cosine}
        for index, cosine in zip(drawn.indices, drawn.cosines, strict=True)
    ]
    if options.json:
        print_json({"file": options.out, "text": text, "kept": kept})
        return
    for one in kept:
        print(f"sample {one['sample']}: cosine {one['cosine']:.3f} with {text!r}")
    print(f"\nopen {options.out}")


_ACTIONS: dict[str, tuple[int, str, Callable[[argparse.Namespace], None]]] = {
    "edit": (1, "one text", _edit),
    "generate": (1, "one text", _generate),
    "directions": (2, "two, the target and the neutral text", _directions),
}

COMMANDS = (
    Command(
        "text",
        "edit images by words, and generate them",
        _add_options,
        _text,
        examples=(
            'dissect text edit scenes-stylegan2 "a house at night" --sample 4 --out night.png',
            'dissect text generate scenes-dalle "a house at night" --out night.png',
            'dissect text directions scenes-stylegan2 "a house at night" "a house by day" '
            "--out words/night",
        ),
    ),
)
