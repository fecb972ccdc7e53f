"""The command ``text``: images are edited by words, and units labelled.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dissect.commands.command import (
    Command,
    WeightsOptions,
    add_run_argument,
    find_generator,
    nothing_kept,
    print_json,
    write_file,
)
from dissect.config import RunOptions
from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, given_settings
from dissect.text.settings import (
    EditOptions,
    EffectsOptions,
    FolderOptions,
    GenerateOptions,
    LabelOptions,
    MapperSettings,
    PaintSettings,
    PictureOptions,
    RegionOptions,
    SampleOptions,
    TableOptions,
    WordsOptions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from dissect.edits.regions import Region
    from dissect.generators.base import Generator
    from dissect.latents import Latent
    from dissect.text.scorer import TextScorer
    from segmenters.clip_models import ClipModel


def _add_edit(parser: argparse.ArgumentParser) -> None:
    _add_generator(parser, "TEXT", "what the image should show, in quotes")
    _add(parser, PictureOptions, SampleOptions, EditOptions, MapperSettings)


def _add_paint(parser: argparse.ArgumentParser) -> None:
    _add_generator(parser, "TEXT", "what the region should show, in quotes")
    _add(parser, PictureOptions, SampleOptions, RegionOptions, PaintSettings)


def _add_directions(parser: argparse.ArgumentParser) -> None:
    _add_generator(parser, "TEXT", "the target and the neutral text, each in quotes")
    _add(parser, FolderOptions, EffectsOptions)


def _add_generate(parser: argparse.ArgumentParser) -> None:
    _add_generator(parser, "TEXT", "what the images should show, in quotes")
    _add(parser, PictureOptions, GenerateOptions)


def _add_label(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    # Words that were not given as --choices get a message of their own.
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    _add(parser, TableOptions, LabelOptions)


def _add_generator(parser: argparse.ArgumentParser, metavar: str, words: str) -> None:
    parser.add_argument("generator", metavar="GENERATOR", help="as dissect run takes it")
    parser.add_argument("words", nargs="+", metavar=metavar, help=words)
    add_settings(parser, WeightsOptions)


def _add(parser: argparse.ArgumentParser, *declared: type[Settings]) -> None:
    for settings in (*declared, WordsOptions):
        add_settings(parser, settings)
    add_settings(parser, RunOptions, "device")


def _check_words(options: argparse.Namespace, action: str, number: int, expected: str) -> None:
    if len(options.words) != number:
        raise ConfigError(
            f"text {action} was given {len(options.words)} texts; expected {expected}"
        )


def _open(options: argparse.Namespace, *, n_crops: int = 0) -> "tuple[Generator, TextScorer]":
    from dissect.generators import load_generator

    generator = load_generator(find_generator(options), device=options.device)
    return generator, _scorer(_open_clip(options), options.words, n_crops=n_crops)


def _open_clip(options: argparse.Namespace) -> "ClipModel":
    from segmenters.clip_models import load_clip
    from segmenters.devices import find_device

    return load_clip(options.model, device=find_device(options.device))


def _scorer(clip: "ClipModel", texts: "Sequence[str]", *, n_crops: int = 0) -> "TextScorer":
    """The scorer of texts whose words the model knows."""
    from dissect.text.scorer import TextScorer
    from segmenters.clip_models import describe_unknown

    unknown = describe_unknown(clip, texts)
    if unknown is not None:
        raise ConfigError(f"{unknown}, or another model; give --model FOLDER")
    return TextScorer(clip, templates=clip.known_templates(), n_crops=n_crops)


def _edit(options: argparse.Namespace) -> None:
    _check_words(options, "edit", 1, "one, in quotes")
    import torch

    from dissect.pictures import side_by_side
    from dissect.text.optimise import optimise

    text = options.words[0]
    with nothing_kept("no image was written"):
        generator, scorer = _open(options, n_crops=options.crops)
        latent = generator.sample([options.sample], seed=options.of_seed)
        if "w+" in generator.spaces:
            latent = generator.convert(latent, "w+")
        if options.way == "mapper":
            edited = _mapped(options, generator, scorer, latent)
        else:
            edited = optimise(
                generator, scorer, latent, text, n_steps=options.steps, rate=options.rate,
                keep=options.keep_near, progress=not options.quiet,
            ).latent  # fmt: skip
        with torch.no_grad():
            images = [generator.synthesize(one) for one in (latent, edited)]
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


def _mapped(
    options: argparse.Namespace, generator: "Generator", scorer: "TextScorer", latent: "Latent"
) -> "Latent":
    """The latent edited by a mapper: the file's, or one that is trained and written there."""
    from dissect.text.mapper import read_mapper, save_mapper, train_mapper

    text = options.words[0]
    file = Path(options.mapper or Path(options.out).with_suffix(".safetensors"))
    if file.exists():
        mapper = read_mapper(file, generator)
        if mapper.text.split() != text.split():
            raise ConfigError(
                f"{file} holds a mapper for {mapper.text!r}, not {text!r}; expected the same text; "
                "give another --mapper FILE, where a new one is written"
            )
    else:
        settings = MapperSettings(**given_settings(options, MapperSettings))
        mapper = train_mapper(
            generator, scorer, text, settings, seed=options.of_seed, progress=not options.quiet
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        save_mapper(mapper, file)
    return mapper.apply(generator, latent, options.strength)


def _paint(options: argparse.Namespace) -> None:
    _check_words(options, "paint", 1, "one, in quotes")
    from dataclasses import asdict

    from dissect.inversion.inversion import read_inversion
    from dissect.inversion.noise import noise_maps
    from dissect.pictures import side_by_side
    from dissect.text.paint import paint

    text = options.words[0]
    with nothing_kept("no image was written"):
        generator, scorer = _open(options, n_crops=options.crops)
        region = _region(options, generator)
        noise: Mapping[str, Tensor] = {}
        latent = generator.sample([options.sample], seed=options.of_seed)
        if options.latent is not None:
            inversion = read_inversion(options.latent)
            inversion.check(generator)
            latent, noise = inversion.latent.to(generator.device), inversion.noise
        settings = PaintSettings(**given_settings(options, PaintSettings))
        with noise_maps(generator, noise):
            done = paint(
                generator, scorer, latent, region, text, settings, seed=options.of_seed,
                progress=not options.quiet,
            )  # fmt: skip
        write_file(
            Path(options.out), side_by_side([x.detach().cpu() for x in (done.original, done.image)])
        )
    first, _, last = done.distances
    if options.json:
        print_json(
            {
                "file": options.out, "text": text,
                "distance": dict(zip(("before", "searched", "after"), done.distances, strict=True)),
                "leak": asdict(done.leak), "unmasked": asdict(done.unmasked),
            }
        )  # fmt: skip
        return
    print(
        f"distance of the region from {text!r}: {first:.3f} before, {last:.3f} after\n"
        "outside the region the image has the original's bits; without compositing its colours "
        f"would change by {done.leak.mean:.1f} of 255 in the mean (without a mask "
        f"{done.unmasked.mean:.1f})\n\nopen {options.out}"
    )


def _region(options: argparse.Namespace, generator: "Generator") -> "Region":
    """The region of ``--box`` or ``--mask``."""
    from dissect.edits.regions import check_region, parse_box
    from dissect.painting.masks import read_mask

    if (options.box is None) == (options.mask is None):
        raise ConfigError(
            "text paint needs a region; expected either --box TOP,LEFT,BOTTOM,RIGHT or --mask FILE"
        )
    if options.box is not None:
        return parse_box(options.box, generator.image_size, name="--box")
    try:
        content = Path(options.mask).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{options.mask} cannot be read ({error.strerror}); expected a PNG"
        ) from error
    return check_region(read_mask(content))


def _label(options: argparse.Namespace) -> None:
    _check_words(options, "label", 0, "none, the words are --choices")
    from dataclasses import asdict

    from dissect.runs import open_run
    from dissect.spreadsheets import to_csv
    from dissect.studies.originals import open_generator
    from dissect.text.unit_labels import describe_agreement, label_units
    from segmenters.clip import split_words
    from segmenters.clip_models import known_texts

    with nothing_kept("no labels were written"):
        run = open_run(options.run)
        if options.choices is None:
            clip = _open_clip(options)
            words = known_texts(clip, run.vocabulary.names)
        else:
            words = split_words(options.choices, "--choices")
            clip = _open_clip(options)
        scorer = _scorer(clip, words)
        table = label_units(
            run, open_generator(run, device=options.device), scorer, words,
            n_samples=options.probe, top=options.top, seed=options.of_seed,
            progress=not options.quiet,
        )  # fmt: skip
        write_file(Path(options.out), to_csv(table).encode())
    found = describe_agreement(table, run.vocabulary)
    if options.json:
        print_json({"file": options.out, "words": words, **asdict(found)})
        return
    print(
        f"{len(words)} words, {found.units} units: the words of {found.above_chance} are "
        f"above chance (at most {found.expected:.0f} of them by chance)\n"
        f"the run names {found.both} of these; for {found.same} word and label are the same thing "
        f"(by chance {found.by_chance:.1f}, p = {found.p:.3f})\n\nopen {options.out}"
    )


def _directions(options: argparse.Namespace) -> None:
    _check_words(options, "directions", 2, "two, the target and the neutral one, each in quotes")
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
    _check_words(options, "generate", 1, "one, in quotes")
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


COMMANDS = (
    Command(
        "text",
        "edit, paint and generate images by words, and label units",
        examples=(
            'dissect text edit scenes-stylegan2 "a house at night" --sample 4 --out night.png',
            "dissect text label runs/a --out words.csv",
        ),
        actions=(
            Command(
                "edit",
                "move one image until it matches a text",
                _add_edit,
                _edit,
                examples=(
                    'dissect text edit scenes-stylegan2 "a house at night" --sample 4 '
                    "--out night.png",
                    'dissect text edit scenes-stylegan2 "a house at night" --way mapper '
                    "--out night.png",
                ),
            ),
            Command(
                "directions",
                "find a direction between two texts",
                _add_directions,
                _directions,
                examples=(
                    'dissect text directions scenes-stylegan2 "a house at night" "a house by day" '
                    "--out words/night",
                ),
            ),
            Command(
                "paint",
                "generate a region of one image anew until it matches a text",
                _add_paint,
                _paint,
                examples=(
                    'dissect text paint scenes-stylegan2 "snow" --sample 4 --box 36,0,64,40 '
                    "--out snow.png",
                ),
            ),
            Command(
                "generate",
                "draw images of a text and keep the nearest",
                _add_generate,
                _generate,
                examples=('dissect text generate scenes-dalle "a house at night" --out night.png',),
            ),
            Command(
                "label",
                "label the units of a run with words",
                _add_label,
                _label,
                examples=("dissect text label runs/a --out words.csv",),
            ),
        ),
    ),
)
