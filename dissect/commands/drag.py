"""The command ``drag``: move points of an image to target positions.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
import re
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
from dissect.settings import Settings, add_settings, given_settings, setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from dissect.generators.base import Generator
    from dissect.latents import Latent

_MOVE = re.compile(r"\s*([\d.]+)\s*,\s*([\d.]+)\s*>\s*([\d.]+)\s*,\s*([\d.]+)\s*")


def _read_moves(text: str) -> tuple[str, ...]:
    moves = tuple(part for part in text.split(";") if part.strip())
    if not moves or not all(_MOVE.fullmatch(move) for move in moves):
        raise ValueError
    return moves


class DragOptions(Settings):
    """The points and their targets."""

    move: tuple[str, ...] = setting(
        "row,column>row,column in pixels: from where to where; several with ;",
        expected="ROW,COLUMN>ROW,COLUMN in pixels, several with ; between them",
        reader=_read_moves, metavar="MOVES",
    )  # fmt: skip
    out: str = setting("PNG to write: before, after", metavar="FILE")
    latent: str | None = setting(
        "latent of an image of one's own, from dissect invert", default=None, metavar="FILE"
    )
    sample: int = setting("sample of the seed, where no latent is given", default=0, at_least=0)
    of_seed: int = setting("seed of the sample", default=0, at_least=0, flag="--seed")
    mask: str | None = setting(
        "rectangle that may change, top,left,bottom,right; default: all", default=None
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    from dissect.inversion.settings import DragSettings

    parser.add_argument("generator", metavar="GENERATOR", help="as dissect run takes it")
    add_settings(parser, DragOptions)
    add_settings(parser, RunOptions, "device")
    add_settings(parser, DragSettings)
    add_settings(parser, WeightsOptions)


def _start(
    options: argparse.Namespace, generator: "Generator"
) -> "tuple[Latent, Mapping[str, Tensor]]":
    """The initial latent, the user's own or a sample's in w+, and its noise maps."""
    if options.latent is not None:
        from dissect.inversion.inversion import read_inversion

        one = read_inversion(options.latent)
        one.check(generator)
        return one.latent.to(generator.device), one.noise
    z = generator.sample([options.sample], seed=options.of_seed)
    return (generator.convert(z, "w+") if "w+" in generator.spaces else z), {}


def _drag(options: argparse.Namespace) -> None:
    import torch

    from dissect.edits.regions import parse_box
    from dissect.generators import load_generator
    from dissect.inversion.drag import drag
    from dissect.inversion.noise import noise_maps
    from dissect.inversion.settings import DragSettings
    from dissect.pictures import side_by_side

    moves = [_MOVE.fullmatch(move) for move in options.move]
    numbers = [tuple(map(float, move.groups())) for move in moves if move is not None]
    settings = DragSettings(**given_settings(options, DragSettings))
    with nothing_kept("no image was written"):
        generator = load_generator(find_generator(options), device=options.device)
        mask = None
        if options.mask is not None:
            mask = parse_box(options.mask, generator.image_size, name="--mask")
        latent, noise = _start(options, generator)
        with noise_maps(generator, noise):
            done = drag(
                generator, latent, [(a, b) for a, b, _, _ in numbers],
                [(c, d) for _, _, c, d in numbers], settings, mask=mask, progress=not options.quiet,
            )  # fmt: skip
        with torch.no_grad(), noise_maps(generator, noise):
            shown = [generator.synthesize(one) for one in (latent, done.latent)]
        write_file(Path(options.out), side_by_side([x.cpu() for x in shown]))
    if options.json:
        print_json(
            {
                "file": options.out,
                "steps": done.n_steps,
                "distances": list(done.distances),
                "paths": [[list(place) for place in path] for path in done.paths],
            }
        )
        return
    for move, path, distance in zip(options.move, done.paths, done.distances, strict=True):
        print(
            f"{move.strip()}: at {path[-1][0]:.0f},{path[-1][1]:.0f} after {done.n_steps} steps, "
            f"{distance:.1f} pixels from where it should be"
        )
    print(f"\nopen {options.out}")


COMMANDS = (
    Command(
        "drag",
        "move points of an image to where you want them",
        _add_options,
        _drag,
        examples=(
            'dissect drag scenes-stylegan2 --sample 4 --move "40,20>40,30" --out dragged.png',
            'dissect drag scenes-stylegan2 --latent photo.safetensors --move "40,20>40,30;9,9>4,9" '
            "--out dragged.png",
        ),
    ),
)
