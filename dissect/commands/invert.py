"""The commands ``invert`` and ``restore``: find a latent for an image, restore images with one.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissect.commands.command import (
    Command,
    WeightsOptions,
    find_generator,
    nothing_kept,
    print_json,
    write_file,
)
from dissect.config import RunOptions
from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, given_settings, setting

if TYPE_CHECKING:
    from torch import Tensor

    from dissect.generators.base import Generator
    from dissect.inversion.degradations import Degradation
    from dissect.inversion.encoder import Encoder
    from dissect.inversion.inversion import Inversion
    from dissect.inversion.objective import Features
    from dissect.inversion.settings import InversionSettings


class InvertOptions(Settings):
    """Options of ``invert`` and ``restore`` besides the settings of an inversion."""

    out: str = setting("folder for latents and pictures", metavar="FOLDER")
    label: int | None = setting(
        "class of the image, for a generator with classes", default=None, at_least=0
    )
    features: str | None = setting(
        "vgg16, which dissect zoo get fetches, or a file of its weights: for the perceptual term "
        "and distance",
        default=None, metavar="NAME",
    )  # fmt: skip


class EncoderOptions(Settings):
    """Start of the search."""

    encoder: str | None = setting(
        "'own', the encoder that comes with the generator, or a file of one: the search begins at "
        "its answer", default=None, metavar="NAME",
    )  # fmt: skip


class TuneOptions(Settings):
    """Whether the generator is fine-tuned too."""

    tune: bool = setting(
        "also move the generator towards each image, and show what it draws then", default=False
    )


class RestoreOptions(Settings):
    """The kind of restoration."""

    task: str = setting(
        "colorize, upscale:K, inpaint:MASK.png, inpaint:hole:T,L,B,R, denoise or deblur:SIGMA"
    )
    simulate: str | None = setting(
        "take whole images, spoil them so, and compare with them: grey, down:K, noise:SIGMA, "
        "jpeg:QUALITY, …",
        default=None, metavar="DEGRADATION",
    )  # fmt: skip


def _add_common(parser: argparse.ArgumentParser) -> None:
    from dissect.inversion.settings import InversionSettings

    parser.add_argument("generator", metavar="GENERATOR", help="as dissect run takes it")
    parser.add_argument("image", metavar="IMAGE", help="a file, or a folder with images")
    add_settings(parser, InvertOptions)
    add_settings(parser, RunOptions, "device")
    add_settings(parser, InversionSettings)
    add_settings(parser, WeightsOptions)


def _add_invert(parser: argparse.ArgumentParser) -> None:
    from dissect.inversion.settings import TuningSettings

    _add_common(parser)
    add_settings(parser, EncoderOptions)
    add_settings(parser, TuneOptions)
    add_settings(parser, TuningSettings)
    parser.add_argument(
        "--resume", action="store_true", help="leave images whose latent is already there"
    )


def _add_restore(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    add_settings(parser, RestoreOptions)


def _load(
    options: argparse.Namespace,
) -> "tuple[Generator, Features | None, InversionSettings, list[Path]]":
    from dissect.generators import load_generator
    from dissect.inversion.images import find_images
    from dissect.inversion.settings import InversionSettings

    settings = InversionSettings(**given_settings(options, InversionSettings))
    paths = find_images(options.image)
    names = [path.stem for path in paths]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"two images are called {twice!r}; expected different names, since results are named "
            "after them"
        )
    features = None
    if options.features is not None:
        from segmenters.predictors.vgg16 import load_vgg16

        path = None if options.features == "vgg16" else Path(options.features)
        network = load_vgg16(path, device=options.device)
        features = network.__call__
    elif settings.perceptual:
        raise ConfigError(
            "--perceptual is above 0 but there are no features; expected --features vgg16, which "
            "dissect zoo get vgg16 fetches"
        )
    generator = load_generator(find_generator(options), device=options.device)
    return generator, features, settings, paths


def _read(path: Path, generator: "Generator", degradation: "Degradation") -> "Tensor":
    """The observed image: the file, resized to the output size of the degradation.

    Grey images and images with a hole may be stored with all pixels and colours; the unobserved
    parts are removed.
    """
    import torch

    from dissect.inversion.degradations import Grey, Hole
    from dissect.inversion.images import read_square

    size, channels = generator.image_size, generator.channels
    seen = degradation.apply(torch.zeros(1, channels, size, size))
    image = read_square(path, seen.shape[-1], grey=channels == 1)
    return degradation.observe(image, seed=0) if isinstance(degradation, Grey | Hole) else image


def _line(name: str, errors: Any) -> str:
    shown = f"{name}: mse {errors['mse']:.5f}, PSNR {errors['psnr']:.1f} dB"
    if "ssim" in errors:
        shown += f", SSIM {errors['ssim']:.3f}"
    if "perceptual" in errors:
        shown += f", perceptual {errors['perceptual']:.3f}"
    return shown


def _finished(
    path: Path,
    generator: "Generator",
    settings: "InversionSettings",
    encoder: "Encoder | None",
) -> "Inversion | None":
    """The existing inversion, if it was made with this generator and settings."""
    from dissect.inversion.inversion import read_inversion
    from dissect.inversion.optimise import recorded_settings

    if not path.exists():
        return None
    one = read_inversion(path)
    recorded = recorded_settings(settings, encoder)
    return one if one.generator == generator.fingerprint and one.settings == recorded else None


def _encoder(options: argparse.Namespace, generator: "Generator", space: str) -> "Encoder | None":
    from dissect.inversion.encoder import find_encoder, read_encoder

    if options.encoder is None:
        return None
    if options.encoder == "own":
        return find_encoder(generator, space)
    found = read_encoder(options.encoder, device=generator.device)
    found.check(generator)
    return found


def _invert(options: argparse.Namespace) -> None:
    import torch

    from dissect.inversion.coordinates import coordinates
    from dissect.inversion.degradations import parse_degradation
    from dissect.inversion.noise import noise_maps
    from dissect.inversion.optimise import errors, invert
    from dissect.inversion.settings import TuningSettings
    from dissect.inversion.tuning import tune
    from dissect.pictures import side_by_side

    whole = parse_degradation("none")
    with nothing_kept("images whose latent is written stay; --resume goes on with the others"):
        generator, features, settings, paths = _load(options)
        tuning = TuningSettings(**given_settings(options, TuningSettings))
        encoder = _encoder(options, generator, settings.space)
        within = coordinates(generator, settings.space, label=options.label)
        out, rows = Path(options.out), []
        for path in paths:
            target = out / f"{path.stem}.safetensors"
            done = _finished(target, generator, settings, encoder) if options.resume else None
            if done is not None:
                rows.append({"image": str(path), "latent": str(target), **done.errors})
                continue
            image = _read(path, generator, whole).to(generator.device)
            frames: list[Tensor] = []
            one = invert(
                generator, image, settings, features=features, encoder=encoder, within=within,
                label=options.label, progress=not options.quiet,
                watch=lambda _, drawn, frames=frames: frames.append(drawn.cpu()),
            )[0]  # fmt: skip
            one.save(target)
            with torch.no_grad(), noise_maps(generator, one.noise):
                shown = [image.cpu(), generator.synthesize(one.latent).cpu()]
            found: dict[str, float] = {}
            row: dict[str, Any] = {"image": str(path), "latent": str(target), **one.errors}
            if options.tune:
                with tune(
                    generator, one, image, tuning, features=features, progress=not options.quiet
                ) as moved, torch.no_grad():  # fmt: skip
                    tuned = generator.synthesize(moved.latent)
                    found = errors(tuned, image, whole, features)
                row |= {f"tuned {name}": value for name, value in found.items()}
                shown.append(tuned.cpu())
            write_file(out / f"{path.stem}.png", side_by_side(shown))
            write_file(out / f"{path.stem}-steps.png", side_by_side(_spread(frames)))
            rows.append(row)
            if not options.json:
                print(_line(path.name, one.errors))
                if options.tune:
                    print(_line(f"{path.name}, generator tuned", found))
    if options.json:
        print_json({"generator": generator.name, "space": settings.space, "images": rows})
        return
    print(
        f"\nopen {out}: NAME.png has the image, then what was found; NAME-steps.png the way there"
    )


def _spread(frames: "list[Tensor]", n: int = 8) -> "list[Tensor]":
    """At most n of the frames, evenly spaced, including the last one."""
    if len(frames) <= n:
        return frames
    return [frames[round(k * (len(frames) - 1) / (n - 1))] for k in range(n)]


def _restore(options: argparse.Namespace) -> None:
    from dissect.inversion.coordinates import coordinates
    from dissect.inversion.degradations import parse_degradation
    from dissect.inversion.images import read_square
    from dissect.inversion.optimise import errors
    from dissect.inversion.restore import baseline, parse_task, restore
    from dissect.pictures import side_by_side

    degradation = parse_task(options.task)
    spoiled = None if options.simulate is None else parse_degradation(options.simulate)
    with nothing_kept("restored images that are written stay"):
        generator, features, settings, paths = _load(options)
        within = coordinates(generator, settings.space, label=options.label)
        size, channels = generator.image_size, generator.channels
        whole, out, rows = parse_degradation("none"), Path(options.out), []
        for path in paths:
            truth = None
            if spoiled is None:
                observed = _read(path, generator, degradation)
            else:
                truth = read_square(path, size, grey=channels == 1)
                observed = spoiled.observe(truth, seed=settings.seed)
            observed = observed.to(generator.device)
            one = restore(
                generator, observed, degradation, settings, features=features, within=within,
                label=options.label, progress=not options.quiet,
            )[0]  # fmt: skip
            plain = baseline(observed, degradation, size, channels)
            answers = {"baseline": plain, "image": one.image, "consistent": one.consistent}
            one.inversion.save(out / f"{path.stem}.safetensors")
            write_file(out / f"{path.stem}-restored.png", side_by_side([one.consistent.cpu()]))
            shown = [plain, one.image, one.consistent] + ([truth] if truth is not None else [])
            write_file(out / f"{path.stem}.png", side_by_side([x.cpu() for x in shown]))
            row: dict[str, Any] = {"image": str(path), "seen": dict(one.inversion.errors)}
            if truth is not None:
                truth = truth.to(generator.device)
                row["truth"] = {
                    name: errors(answer, truth, whole, features) for name, answer in answers.items()
                }
            rows.append(row)
            if not options.json:
                print(_line(f"{path.name}, against what was seen", one.inversion.errors))
                for name, found in row.get("truth", {}).items():
                    print(_line(f"  {name} against the truth", found))
    if options.json:
        print_json({"generator": generator.name, "task": options.task, "images": rows})
        return
    print(
        f"\nopen {out}: NAME.png has the plain answer, the generator's, and the same made "
        "consistent" + (", then the truth" if spoiled is not None else "")
    )


COMMANDS = (
    Command(
        "invert",
        "find a generator's latent for an image of one's own",
        _add_invert,
        _invert,
        examples=(
            "dissect invert scenes-stylegan2 photo.png --out inverted",
            "dissect invert scenes-stylegan2 FOLDER --out inverted --space w --steps 500 --resume",
            "dissect invert scenes-stylegan2 photo.png --out inverted --tune",
            "dissect invert scenes-stylegan2 photo.png --out inverted --encoder own --steps 100",
        ),
    ),
    Command(
        "restore",
        "restore images with a generator as prior: colour, size, holes, noise",
        _add_restore,
        _restore,
        examples=(
            "dissect restore scenes-stylegan2 grey.png --task colorize --out restored",
            "dissect restore scenes-stylegan2 small.png --task upscale:4 --out restored",
            "dissect restore scenes-stylegan2 a.png --task inpaint:hole:16,16,48,48 --out restored",
        ),
    ),
)
