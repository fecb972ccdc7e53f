"""The command ``directions``: find, name, score and apply directions, and exchange files.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissect.commands.command import (
    Command,
    ModelsAgain,
    WeightsOptions,
    nothing_kept,
    print_json,
    write_file,
)
from dissect.config import RunOptions
from dissect.directions.question import FORMATS, RELEVANCE, FitQuestion
from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, given_settings, setting

if TYPE_CHECKING:
    from dissect.directions.direction import Direction
    from dissect.directions.folder import DirectionFolder
    from dissect.directions.samples import AttributeReader
    from dissect.generators.base import Generator


class ReaderOptions(Settings):
    """Predictors of attributes."""

    predictor: tuple[str, ...] = setting(
        "predictors of attributes, as dissect zoo lists them; comma between several", default=()
    )


class ScoreOptions(Settings):
    """How directions are scored."""

    strength: float = setting(
        "length of the step, in deviations of the space", default=2.0, above=0
    )
    images: int = setting("fresh images that are edited", default=100, at_least=8)
    draws: int = setting("random directions of equal length", default=10, at_least=1)
    by_layer: tuple[str, ...] = setting(
        "directions that are scored layer by layer too, by name", default=()
    )
    card: tuple[str, ...] = setting(
        "directions that get an evaluation card, as NAME or NAME=ATTRIBUTE", default=()
    )
    identity: str | None = setting("predictor that tells persons apart, for cards", default=None)


class ApplyOptions(Settings):
    """How a direction is applied."""

    strengths: tuple[float, ...] = setting(
        "of the columns, in deviations of the space, as --strengths=-4,0,4",
        default=(-4.0, -2.0, 0.0, 2.0, 4.0),
        count_at_least=1, count_at_most=21,
    )  # fmt: skip
    rows: int = setting("samples", default=4, at_least=1, at_most=64)
    tile: int = setting("pixels of a picture", default=96, at_least=16, at_most=1024)
    first: int = setting("index of the first sample", default=0, at_least=0)


class ExchangeOptions(Settings):
    """Reading and writing of other programs' files."""

    format: str | None = setting(
        "of a file; default: by the file", default=None, choices=FORMATS, metavar="FORMAT"
    )
    text: str | None = setting(
        "fs3: .npy of 512 numbers, the difference Δt of two texts in CLIP's space",
        default=None, metavar="FILE",
    )  # fmt: skip
    relevance: float = setting(
        "fs3: channels whose part in the text's direction is smaller are left out (StyleCLIP's β)",
        default=RELEVANCE, at_least=0,
    )  # fmt: skip


class OutOption(Settings):
    """The output path."""

    out: str | None = setting("folder or file to write", default=None, metavar="PATH")


def _add_directions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=list(_ACTIONS))
    parser.add_argument(
        "given", nargs="*", metavar="GIVEN",
        help="fit: GENERATOR or RUN · import: GENERATOR or RUN, FILE · "
        "score: GENERATOR or RUN, FOLDER · apply: GENERATOR or RUN, FOLDER, NAME · "
        "list: FOLDER or RUN · show: FOLDER · export: FOLDER, NAME …",
    )  # fmt: skip
    add_settings(parser, ReaderOptions)
    add_settings(parser, FitQuestion)
    add_settings(parser, ScoreOptions)
    add_settings(parser, ApplyOptions)
    add_settings(parser, ExchangeOptions)
    add_settings(parser, OutOption)
    add_settings(parser, RunOptions, "device")
    add_settings(parser, WeightsOptions)
    add_settings(parser, ModelsAgain, "generator")


def _directions(options: argparse.Namespace) -> None:
    n_least, n_most, words, action = _ACTIONS[options.action]
    if not n_least <= len(options.given) <= n_most:
        raise ConfigError(
            f"directions {options.action} was given {len(options.given)} names; expected {words}"
        )
    action(options)


def _fit(options: argparse.Namespace) -> None:
    from dissect.directions.fitting import NEED_ATTRIBUTES, fit_directions
    from dissect.directions.folder import DirectionFolder, write_folder
    from dissect.directions.rescoring import rescore
    from dissect.directions.strips import draw_random_strip, draw_strip

    question = FitQuestion(**given_settings(options, FitQuestion))
    if question.method in NEED_ATTRIBUTES and not options.predictor:
        raise ConfigError(
            f"directions fit --method {question.method} was given no predictor of attributes; "
            "expected one; give --predictor NAME, as dissect zoo lists them"
        )
    target = _target(options, question.method)
    with nothing_kept("nothing was written"):
        generator, question = _open(options)
        samples = _samples(question)
        reader = _reader(options)
        found = fit_directions(generator, question, reader=reader, progress=not options.quiet)
        effects = None
        measured = None if reader is None else reader.of_images()
        if measured is not None:
            effects = rescore(
                generator, measured, found, strength=options.strength, n_samples=options.images,
                draws=options.draws, seed=question.seed, progress=not options.quiet, **samples,
            )  # fmt: skip
        strips = [draw_strip(generator, one, seed=question.seed, **samples) for one in found]
        random_strip = draw_random_strip(generator, found[0], seed=question.seed, **samples)
        folder = DirectionFolder(
            target, tuple(found), {"name": generator.name, "fingerprint": generator.fingerprint},
            question.method, effects,
        )  # fmt: skip
        write_folder(folder, strips, random_strip)
    _tell(options, folder)


def _import(options: argparse.Namespace) -> None:
    from dissect.directions.folder import DirectionFolder, write_folder
    from dissect.directions.interchange import import_directions
    from dissect.directions.strips import draw_random_strip, draw_strip

    file = options.given[1]
    target = _target(options, Path(file).stem)
    with nothing_kept("nothing was written"):
        generator, question = _open(options)
        samples = _samples(question)
        found = import_directions(
            file, format=options.format, space=options.space, layers=options.layers,
            count=options.n_directions, generator=generator, text=options.text,
            threshold=options.relevance,
        )  # fmt: skip
        strips = [draw_strip(generator, one, seed=options.seed, **samples) for one in found]
        random_strip = draw_random_strip(generator, found[0], seed=options.seed, **samples)
        folder = DirectionFolder(
            target, tuple(found), {"name": generator.name, "fingerprint": generator.fingerprint},
            found[0].provenance.method,
        )  # fmt: skip
        write_folder(folder, strips, random_strip)
    _tell(options, folder)


def _export(options: argparse.Namespace) -> None:
    import json

    from dissect.directions import interchange
    from dissect.directions.folder import open_folder
    from dissect.edits import to_json

    folder = open_folder(options.given[0])
    names = options.given[1:]
    chosen = [folder.directions[folder.find(name)] for name in names] or list(folder.directions)
    suffix = Path(options.out or "").suffix
    if options.format == "fs3":
        _export_fs3(options, chosen)
    elif suffix == ".npz":
        interchange.export_ganspace(chosen, options.out)
    elif suffix == ".pt":
        interchange.export_factor(chosen, options.out)
    elif suffix == ".json":
        moves = [move for one in chosen for move in one.moves(options.strength)]
        write_file(options.out, json.dumps(to_json(moves)).encode())
    elif suffix == ".npy" and len(chosen) == 1:
        interchange.export_direction(chosen[0], options.out)
    else:
        raise ConfigError(
            f"directions export was given {len(chosen)} directions and the file {options.out!r}; "
            "expected --out FILE.npy for one (InterFaceGAN, HiGAN; with --format fs3 StyleCLIP), "
            "FILE.npz (GANSpace), FILE.pt (rosinality) or FILE.json, a recipe of moves"
        )
    about = {"file": options.out, "directions": [one.name for one in chosen]}
    print_json(about) if options.json else print(options.out)


def _export_fs3(options: argparse.Namespace, chosen: "Sequence[Direction]") -> None:
    from dissect.directions.styleclip import write_fs3
    from dissect.generators import load_generator

    if len(chosen) != 1 or None in (options.text, options.generator, options.out):
        raise ConfigError(
            f"directions export --format fs3 was given {len(chosen)} directions, the text "
            f"{options.text!r} and the generator {options.generator!r}; expected one direction, "
            "--text FILE.npy of 512 numbers, --generator NAME, whose channels the file lists, and "
            "--out FILE.npy"
        )
    generator = load_generator(options.generator, device=options.device)
    write_fs3(chosen[0], options.out, options.text, generator=generator)


def _score(options: argparse.Namespace) -> None:
    from dissect.directions.card import measure_card
    from dissect.directions.folder import open_folder, rewrite_record
    from dissect.directions.rescoring import rescore, rescore_layers

    folder = open_folder(options.given[1])
    chosen = [one.partition("=") for one in options.card]
    for name in [*options.by_layer, *(name for name, _, _ in chosen)]:
        folder.find(name)
    with nothing_kept("nothing was measured or stored"):
        generator, question = _open(options)
        samples = _samples(question)
        reader = _reader(options)
        if reader is None:
            raise ConfigError(
                "directions score was given no predictor of attributes; expected one; give "
                "--predictor NAME, as dissect zoo lists them"
            )
        bars = not options.quiet
        effects = rescore(
            generator, reader, folder.directions, strength=options.strength,
            n_samples=options.images, draws=options.draws, seed=options.seed, progress=bars,
            **samples,
        )  # fmt: skip
        layers, cards = dict(folder.layers), dict(folder.cards)
        for name in options.by_layer:
            one = folder.directions[folder.find(name)]
            layers[one.name] = rescore_layers(
                generator, reader, one, strength=options.strength, n_samples=options.images,
                seed=options.seed, progress=bars, **samples,
            )  # fmt: skip
        identity = None if options.identity is None else _load_predictor(options, options.identity)
        for name, equals, attribute in chosen:
            one = folder.directions[folder.find(name)]
            aim = attribute if equals else str(one.provenance.settings.get("attribute", name))
            cards[one.name] = measure_card(
                generator, reader, one, aim, n_samples=options.images, identity=identity,
                seed=options.seed, progress=bars, **samples,
            )  # fmt: skip
    from dataclasses import replace

    folder = replace(folder, effects=effects, layers=layers, cards=cards)
    rewrite_record(folder)
    _tell(options, folder)


def _apply(options: argparse.Namespace) -> None:
    from dissect.directions.folder import open_folder
    from dissect.directions.strips import draw_strip

    folder = open_folder(options.given[1])
    direction = folder.directions[folder.find(options.given[2])]
    if options.out is None:
        raise ConfigError("directions apply was given no file to write; expected --out FILE.webp")
    generator, question = _open(options)
    picture = draw_strip(
        generator, direction, strengths=options.strengths, rows=options.rows, tile=options.tile,
        seed=options.seed, first=options.first, **_samples(question),
    )  # fmt: skip
    write_file(options.out, picture)
    about = {"file": options.out, "direction": direction.name, "strengths": options.strengths}
    print_json(about) if options.json else print(options.out)


def _list(options: argparse.Namespace) -> None:
    from dissect.directions.folder import FILE, folders_of, open_folder

    given = Path(options.given[0])
    paths = [given] if (given / FILE).is_file() else folders_of(given)
    if not paths:
        raise ConfigError(
            f"{given} holds no directions; expected a folder of them, or a run that has some; "
            "dissect directions fit makes one"
        )
    folders = [open_folder(path) for path in paths]
    if options.json:
        print_json({"folders": [_plain(folder) for folder in folders]})
        return
    for folder in folders:
        print(f"{folder.path}: {folder.method}, {folder.generator['name']}")
        labels = [one.label for one in folder.meanings] or ["not scored"] * len(folder.directions)
        for number, (one, label) in enumerate(zip(folder.directions, labels, strict=True)):
            print(f"  {number:>3}  {one.name:<24} {one.space:<4} {label}")


def _show(options: argparse.Namespace) -> None:
    from dissect.directions.folder import open_folder

    _tell(options, open_folder(options.given[0]))


def _tell(options: argparse.Namespace, folder: "DirectionFolder") -> None:
    from dissect.directions.card import describe_card
    from dissect.directions.naming import describe_meanings

    if options.json:
        print_json(_plain(folder))
        return
    print(f"{folder.path}: {folder.method}, {folder.generator['name']}")
    if folder.effects is None:
        print(*(f"  {one.name} ({one.space})" for one in folder.directions), sep="\n")
        print(
            f"not scored: dissect directions score GENERATOR {folder.path} --predictor NAME tells "
            "which is which"
        )
    else:
        print(describe_meanings(folder.meanings, folder.effects))
    for name, effects in folder.layers.items():
        print(f"\n{name}, layer by layer (|effect| beyond chance)")
        for row, layer in enumerate(effects.names):
            beyond = [
                f"{attribute} {effects.signed[row, k]:+.2f}"
                for k, attribute in enumerate(effects.attributes)
                if effects.beyond[row, k]
            ]
            print(f"  layer {layer:<5} {', '.join(beyond) or 'nothing'}")
    for card in folder.cards.values():
        print("", describe_card(card), sep="\n")
    if folder.strip(0) is not None:
        print("", f"open {folder.path / '000.webp'}", sep="\n")


def _plain(folder: "DirectionFolder") -> dict[str, Any]:
    """A folder as one JSON object."""
    import math

    meanings = folder.meanings
    rows = []
    for number, one in enumerate(folder.directions):
        row: dict[str, Any] = {
            "number": number, "name": one.name, "space": one.space, "sigma": one.sigma,
            "settings": dict(one.provenance.settings),
        }  # fmt: skip
        if meanings:
            named = meanings[number]
            effects = [] if named.main is None else [named.main, *named.side_effects]
            row["changes"] = named.label
            row["effects"] = [
                vars(effect) | {"floor": None if math.isnan(effect.floor) else effect.floor}
                for effect in effects
            ]
        rows.append(row)
    return {
        "folder": str(folder.path), "method": folder.method, "generator": dict(folder.generator),
        "directions": rows, "cards": dict(folder.cards),
    }  # fmt: skip


def _is_run(given: str) -> bool:
    return (Path(given) / "run.json").is_file()


def _open(options: argparse.Namespace) -> "tuple[Generator, FitQuestion]":
    """The given generator, or that of a run, and the settings with the run's defaults."""
    from dissect.generators import load_generator
    from dissect.generators.loading import choose_weights

    given = options.given[0]
    question = FitQuestion(**given_settings(options, FitQuestion))
    if _is_run(given):
        from dissect.runs import open_run
        from dissect.studies.originals import open_generator

        run = open_run(given, generator=options.generator)
        question = question.of_run(label=run.config.label, truncation=run.config.truncation)
        return open_generator(run, device=options.device), question
    return load_generator(choose_weights(given, options.weights), device=options.device), question


def _samples(question: FitQuestion) -> dict[str, Any]:
    """Sampling options as arguments for the functions of ``dissect.directions``."""
    from dissect.directions.fitting import truncation_of

    return {"truncation": truncation_of(question), "label": question.label}


def _reader(options: argparse.Namespace) -> "AttributeReader | None":
    if not options.predictor:
        return None
    from dissect.directions.samples import AttributeReader

    return AttributeReader(
        [_load_predictor(options, name, tables=True) for name in options.predictor]
    )


def _load_predictor(options: argparse.Namespace, name: str, *, tables: bool = False) -> Any:
    from segmenters.registry import load_predictor

    if tables and name.lower().endswith(".csv"):
        from segmenters.predictors.table import load_scores

        return load_scores(name)
    return load_predictor(name, device=options.device)


def _target(options: argparse.Namespace, method: str) -> Path:
    """The folder to write."""
    from dissect.directions.folder import PARENT

    if options.out is not None:
        return Path(options.out)
    if _is_run(options.given[0]):
        return Path(options.given[0]) / PARENT / method
    raise ConfigError(
        "directions fit was given no folder to write; expected --out FOLDER, or a run, which keeps "
        "them in its own"
    )


_ACTIONS: dict[str, tuple[int, int, str, Callable[[argparse.Namespace], None]]] = {
    "fit": (1, 1, "one: fit GENERATOR or RUN", _fit),
    "import": (2, 2, "two: import GENERATOR or RUN, and FILE", _import),
    "export": (1, 1000, "export FOLDER, and names of directions; without them, all", _export),
    "list": (1, 1, "one: list FOLDER or RUN", _list),
    "show": (1, 1, "one: show FOLDER", _show),
    "score": (2, 2, "two: score GENERATOR or RUN, and FOLDER", _score),
    "apply": (3, 3, "three: apply GENERATOR or RUN, FOLDER, and the direction's NAME", _apply),
}
"""Action → fewest and most arguments, their description, and the function."""


COMMANDS: Sequence[Command] = (
    Command(
        "directions",
        "find directions of the latent space, name them by what they change, and apply them",
        _add_directions,
        _directions,
        examples=(
            "dissect directions fit scenes-stylegan2 --predictor scenes --out scenes-directions",
            "dissect directions fit scenes-stylegan2 --method sefa --predictor scenes --out sefa",
            "dissect directions import scenes-stylegan2 smile_w_boundary.npy --out smile",
            "dissect directions apply scenes-stylegan2 sefa 0 --out strip.webp",
            "dissect directions export sefa 0 --strength 2 --out recipe.json",
            "dissect directions import ffhq.pkl fs3.npy --format fs3 --text smile.npy --out smile",
        ),
    ),
)
