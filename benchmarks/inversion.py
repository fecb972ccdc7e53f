"""Benchmark of inversion: comparison of spaces, encoders, restoration, drags and faces.

    python -m benchmarks.inversion [--parts spaces encoders tasks drags faces] [--keep FILE]
        [--images 8] [--steps 100] [--starts 1] [--restored 50] [--restore-steps 60] [--drags 30]
        [--faces 20] [--pictures FOLDER] [--json]

spaces    samples of the generator (an exact latent exists) and new renders of scenes (similar to
          its training data), inverted in each space: mean MSE in units of range², PSNR, SSIM, the
          Fréchet distance between answers and images in the segmenter's pooled features (too large
          for few images, but equally for all rows), processor time per image. For samples also the
          error after an edit: the same move, applied to the result and to the sample.
encoders  renders: the encoder alone, the optimisation alone from the mean, and the optimisation
          from the encoder's answer, without and with the in-domain term, at about equal processor
          time.
tasks     renders are degraded and restored, and compared with plain answers: one is the mean of
          the training world's colours, one scikit-image's total variation with the best of three
          weights. ``gain_db``: improvement over the best plain answer of each image, in PSNR,
          with the half width of the mean's 95 % interval.
drags     a point of a sample is moved by 6 to 12 pixels: the final distance of its feature from
          the target and, without any feature of the generator, the new place of the patch around
          it (normalised correlation of 9 × 9 pixels).
faces     faces-dcgan: samples, and photographs of faces (scikit-image's, grey, 25 pixels,
          enlarged): inverted in z, and with several codes.

Rows are written to FILE as they are measured: the same command continues after an interruption, and
skips rows with the same weights and budget.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.errors import DissectError
from dissect.generators import load_generator
from dissect.generators.base import Generator
from dissect.inversion.degradations import Degradation, Grey, Hole, parse_degradation
from dissect.inversion.drag import drag
from dissect.inversion.encoder import Encoder, find_encoder, read_encoder
from dissect.inversion.inversion import Inversion
from dissect.inversion.multi_code import multi_code
from dissect.inversion.optimise import invert
from dissect.inversion.quality import mean_squared_error, psnr, ssim
from dissect.inversion.restore import baseline, parse_task, restore
from dissect.inversion.settings import DragSettings, InversionSettings, MultiCodeSettings
from dissect.latents import Latent, stream
from dissect.pictures import side_by_side
from dissect.runs.replacing import replace_file
from dissect.studies.repair.frechet import Moments, frechet_distance
from dissect.worlds import render_scenes
from segmenters.scenes import load_network

_RENDER_SEED, _SAMPLE_SEED, _DRAG_SEED, _FACE_SEED = 60_000, 60_001, 60_002, 60_003
SPACES = ("z", "w", "w+", "s", "p", "p+")
# Task, degradation of the images, space of the optimisation and weight of its prior.
TASKS = (
    ("colorize", "grey", "w+", 0.02),
    ("upscale:4", "down:4", "w+", 0.02),
    ("upscale:8", "down:8", "w+", 0.02),
    ("inpaint:hole:20,20,44,44", "hole:20,20,44,44", "w+", 0.02),
    ("denoise", "noise:40", "w+", 0.02),
)
_TV_WEIGHTS = (0.05, 0.1, 0.2)  # for images in [0, 1]
_PATCH, _REACH = 4, 16  # pixels: half of a patch, search radius
_CODES, _CODES_LAYER = 8, "main.4"  # of faces-dcgan
_SHOWN = 8  # drags in the picture
Row = dict[str, Any]


class Rows:
    """Measured rows, in a file if one is given."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        there = path is not None and path.exists()
        self._rows: dict[str, Row] = json.loads(path.read_text()) if path and there else {}

    def get(self, name: str, about: Row, measure: Callable[[], Row]) -> Row:
        """The row of a name, measured unless it exists for the same ``about``."""
        row = self._rows.get(name)
        if row is None or row["about"] != about:
            row = self._rows[name] = {"about": about, "found": measure()}
            if self._path is not None:
                replace_file(self._path, json.dumps(self._rows, indent=1).encode())
            print(name, json.dumps(row["found"]), file=sys.stderr, flush=True)
        return row["found"]


def compare(drawn: Tensor, truth: Tensor) -> dict[str, float]:
    """Means of the errors over images."""
    return {
        "mse": round(mean_squared_error(drawn, truth).mean().item(), 6),
        "psnr": round(psnr(drawn, truth).mean().item(), 2),
        "ssim": round(ssim(drawn, truth).mean().item(), 4),
    }


def half_width(values: Float[np.ndarray, " image"]) -> float:
    """Half width of the 95 % interval of their mean, by Student's t."""
    from scipy.stats import t  # noqa: PLC0415 - takes a while to import

    n = len(values)
    return float(t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


@torch.no_grad()
def draw_all(generator: Generator, found: list[Inversion]) -> Float[Tensor, "image c h w"]:
    """The images of inversions."""
    return torch.cat([generator.synthesize(one.latent) for one in found])


class Edit:
    """One move, half way to another sample, for latents of any space."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        one, two = generator.convert(generator.sample(range(2), seed=_SAMPLE_SEED + 1), "w").data
        self._step = (two - one) / 2
        ends = torch.stack([torch.zeros_like(one), self._step])
        mean, moved = generator.convert(Latent("w", ends), "s").data
        self._styles = moved - mean  # styles are affine in w, so this move is the same everywhere

    def draw(self, latent: Latent) -> Float[Tensor, "1 c h w"]:
        if latent.space == "z":
            latent = self._generator.convert(latent, "w")
        step = self._styles if latent.space == "s" else self._step
        return self._generator.synthesize(Latent(latent.space, latent.data + step))


def measure_space(
    generator: Generator, images: Tensor, settings: InversionSettings, truth: Latent | None
) -> Row:
    """Reconstruction errors of images in one space; ``truth``: their latents, for samples."""
    started = time.process_time()
    found = invert(generator, images, settings)
    seconds = (time.process_time() - started) / len(images)
    network = load_network().eval()
    edit = Edit(generator)
    with torch.no_grad():
        drawn = draw_all(generator, found).clamp(-1, 1)
        sets = [Moments.of(network.pooled(x).numpy()) for x in (drawn, images)]
        row = compare(drawn, images) | {"frechet": round(frechet_distance(*sets), 4)}
        if truth is not None:
            wanted = edit.draw(truth)
            edited = torch.cat([edit.draw(one.latent) for one in found])
            row["edited_mse"] = round(mean_squared_error(edited, wanted).mean().item(), 6)
    return row | {"seconds_per_image": round(seconds, 2)}


def measure_encoder(
    generator: Generator, images: Tensor, encoder: Encoder | None, steps: int, domain: float
) -> Row:
    """Optimisation with ``steps`` steps, from the encoder's answer or the mean; 0: the answer."""
    started = time.process_time()
    if not steps:
        assert encoder is not None
        with torch.no_grad():
            drawn = generator.synthesize(encoder.encode(images))
    else:
        settings = InversionSettings(n_steps=steps, n_starts=1, domain=domain)
        drawn = draw_all(generator, invert(generator, images, settings, encoder=encoder))
    seconds = (time.process_time() - started) / len(images)
    return compare(drawn, images) | {"steps": steps, "seconds_per_image": round(seconds, 3)}


def measure_task(
    generator: Generator, images: Tensor, task: str, spoiled: str, search: InversionSettings
) -> Row:
    """Restoration of degraded renders, compared with plain answers."""
    degradation = parse_task(task)
    observed = parse_degradation(spoiled).observe(images, seed=0)
    started = time.process_time()
    found = restore(generator, observed, degradation, search)
    seconds = (time.process_time() - started) / len(images)
    answer = torch.cat([one.consistent for one in found])
    plain = {"plain": baseline(observed, degradation, generator.image_size, generator.channels)}
    plain |= other_answers(observed, degradation, images)
    best = torch.stack([psnr(one, images) for one in plain.values()]).amax(dim=0)
    gain = (psnr(answer, images) - best).double().numpy()
    return {
        "restored": compare(answer, images),
        **{name: compare(one, images) for name, one in plain.items()},
        "better": int((gain > 0).sum()),
        "images": len(images),
        "gain_db": [round(float(gain.mean()), 2), round(half_width(gain), 2)],
        "seconds_per_image": round(seconds, 2),
    }


def other_answers(observed: Tensor, degradation: Degradation, truth: Tensor) -> dict[str, Tensor]:
    """More plain answers: for grey images the world's mean colour at their luma; for a hole, zeros;
    for noise, total variation with the best weight for these images.
    """
    if isinstance(degradation, Grey):
        world = render_scenes(range(256), seed=_RENDER_SEED + 1, size=32).images
        colour = world.mean(dim=(0, 2, 3)) - degradation.apply(world).mean()
        return {"mean_colour": observed + colour[:, None, None]}
    if isinstance(degradation, Hole):
        return {"zero_fill": observed}
    if degradation.spec != "none":
        return {}
    from skimage.restoration import denoise_tv_chambolle  # noqa: PLC0415 - of the test extra

    def smoothed(weight: float) -> Tensor:
        unit = ((observed + 1) / 2).numpy()
        done = [denoise_tv_chambolle(one, weight=weight, channel_axis=0) for one in unit]
        return torch.from_numpy(np.stack(done)).float() * 2 - 1

    tried = [smoothed(weight) for weight in _TV_WEIGHTS]
    return {"scikit_tv": min(tried, key=lambda one: mean_squared_error(one, truth).mean().item())}


def found_again(before: Tensor, after: Tensor, point: np.ndarray) -> np.ndarray | None:
    """The place of the patch around a point in another image; None at the border.

    Zero-mean normalised correlation of the RGB patch, at whole pixels around the point.
    """
    row, column = (round(float(v)) for v in point)
    size, side = before.shape[-1], 2 * _PATCH + 1
    if not all(_PATCH <= v < size - _PATCH for v in (row, column)):
        return None
    area = slice(row - _PATCH, row + _PATCH + 1), slice(column - _PATCH, column + _PATCH + 1)
    patch = before[:, area[0], area[1]].flatten()
    patches = functional.unfold(after[None], side)[0].T  # one row per place
    patch, patches = patch - patch.mean(), patches - patches.mean(dim=1, keepdim=True)
    likeness = (patches @ patch) / (patches.norm(dim=1) * patch.norm()).clamp(min=1e-6)
    n = size - side + 1
    places = np.stack(np.divmod(np.arange(n * n), n), axis=1) + _PATCH
    near = np.abs(places - np.array([row, column])).max(axis=1) <= _REACH
    best = int(np.where(near, likeness.numpy(), -2.0).argmax())
    return places[best].astype(float)


def measure_drags(generator: Generator, n_drags: int, pictures: Path | None) -> Row:
    """Final distances of dragged points from their targets."""
    size, ends, ways, patches, shown = generator.image_size, [], [], [], []
    for number in range(n_drags):
        random = stream(_DRAG_SEED, number)
        latent = generator.convert(generator.sample([number], seed=_DRAG_SEED), "w+")
        angle, way = random.uniform(0, 2 * np.pi), random.uniform(6, 12)
        point = random.uniform(way, size - 1 - way, 2)
        target = point + way * np.array([np.sin(angle), np.cos(angle)])
        done = drag(
            generator, latent, [(point[0], point[1])], [(target[0], target[1])],
            DragSettings(n_steps=40),
        )  # fmt: skip
        ends.append(done.distances[0])
        ways.append(way)
        with torch.no_grad():
            before, after = (generator.synthesize(one)[0] for one in (latent, done.latent))
        place = found_again(before, after, point)
        if place is not None:
            patches.append(float(np.hypot(*(target - place))))
        if len(shown) < _SHOWN:
            for image, at in ((before, point), (after, target)):
                marked = image.clone()
                marked[:, round(float(at[0])), round(float(at[1]))] = torch.tensor([1.0, -1, 1])
                shown.append(marked[None])
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        replace_file(pictures / "drags.png", side_by_side(shown, least=128))
    return {
        "drags": n_drags,
        "mean_way": round(float(np.mean(ways)), 2),
        "mean_left": [round(float(np.mean(ends)), 2), round(half_width(np.array(ends)), 2)],
        "arrived": int((np.array(ends) <= 1).sum()),
        "patch_left": [round(float(np.mean(patches)), 2), round(half_width(np.array(patches)), 2)],
        "patches": len(patches),
    }


def photographs(n: int, size: int) -> Float[Tensor, "image 3 size size"]:
    """Faces of scikit-image's ``lfw_subset``: grey, 25 pixels, enlarged."""
    from skimage.data import lfw_subset  # noqa: PLC0415 - of the test extra

    grey = torch.from_numpy(lfw_subset()[:n]).float()[:, None] * 2 - 1
    large = functional.interpolate(grey, size=size, mode="bicubic", align_corners=False)
    return large.clamp(-1, 1).expand(-1, 3, -1, -1)


def measure_faces(generator: Generator, images: Tensor, steps: int, starts: int) -> Row:
    """Errors with one code, and with several blended codes."""
    one = invert(generator, images, InversionSettings(space="z", n_steps=steps, n_starts=starts))
    row: Row = {"z": compare(draw_all(generator, one), images)}
    settings = MultiCodeSettings(n_codes=_CODES, n_steps=steps)
    several = multi_code(generator, images, _CODES_LAYER, settings)
    row[f"{_CODES} codes"] = compare(torch.cat([found.image for found in several]), images)
    return row


def _encoder_rows(
    rows: Rows, generator: Generator, renders: Tensor, about: Row, steps: int, file: Path | None
) -> Row:
    try:
        encoder = find_encoder(generator) if file is None else read_encoder(file)
        encoder.check(generator)
    except DissectError as error:
        return {"no encoder": str(error)}
    about = about | {"encoder": encoder.fingerprint[:12]}
    tried = {"encoder": (encoder, 0, 0.0)}
    for n in (steps // 5, steps):
        tried |= {
            f"search, {n} steps": (None, n, 0.0),
            f"hybrid, {n} steps": (encoder, n, 0.0),
            f"in-domain, {n} steps": (encoder, max(1, n * 3 // 4), 2.0),  # a step takes longer
        }
    return {
        name: rows.get(
            f"encoders/{name}",
            about,
            lambda given=given: measure_encoder(generator, renders, *given),
        )
        for name, given in tried.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("spaces", "encoders", "tasks", "drags", "faces")
    parser.add_argument("--generator", default="scenes-stylegan2")
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--encoder", type=Path, help="a file; default: the generator's own")
    parser.add_argument("--images", type=int, default=8, help="of each kind, for the spaces")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--starts", type=int, default=1)
    parser.add_argument("--restored", type=int, default=50, help="images of each task")
    parser.add_argument("--restore-steps", type=int, default=60)
    parser.add_argument("--drags", type=int, default=30)
    parser.add_argument("--faces", type=int, default=20, help="samples, and photographs")
    parser.add_argument("--keep", type=Path, help="file of rows, to stop and go on")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of drags")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows, generator = Rows(options.keep), load_generator(options.generator)
    weights = {"weights": generator.fingerprint[:12]}
    n, size = options.images, generator.image_size
    search = {"n_steps": options.steps, "n_starts": options.starts}
    told: Row = {"generator": generator.name, **weights}
    with torch.no_grad():
        truth = generator.convert(generator.sample(range(n), seed=_SAMPLE_SEED), "w")
        samples = generator.synthesize(truth).clamp(-1, 1)
    if "spaces" in options.parts:
        renders = render_scenes(range(n), seed=_RENDER_SEED, size=size).images
        about = weights | search | {"images": n}
        told["spaces"] = about | {
            kind: {
                space: rows.get(
                    f"{kind}/{space}", about,
                    lambda space=space, images=images, known=known: measure_space(
                        generator, images, InversionSettings(space=space, **search), known
                    ),
                )
                for space in SPACES
            }
            for kind, images, known in (("samples", samples, truth), ("renders", renders, None))
        }  # fmt: skip
    renders = render_scenes(range(options.restored), seed=_RENDER_SEED, size=size).images
    if "encoders" in options.parts:
        about = weights | {"images": len(renders), "n_steps": options.steps}
        told["encoders"] = _encoder_rows(
            rows, generator, renders, about, options.steps, options.encoder
        )
    if "tasks" in options.parts:
        about = weights | {"images": len(renders), "n_steps": options.restore_steps, "n_starts": 1}
        told["tasks"] = about | {
            task: rows.get(
                f"tasks/{task}", about,
                lambda task=task, spoiled=spoiled, space=space, prior=prior: measure_task(
                    generator, renders, task, spoiled,
                    InversionSettings(
                        space=space, prior=prior, n_steps=options.restore_steps, n_starts=1
                    ),
                ),
            )
            for task, spoiled, space, prior in TASKS
        }  # fmt: skip
    if "drags" in options.parts:
        about = weights | {"drags": options.drags}
        told["drags"] = rows.get(
            "drags", about, lambda: measure_drags(generator, options.drags, options.pictures)
        )
    if "faces" in options.parts:
        faces = load_generator("faces-dcgan")
        about = {"weights": faces.fingerprint[:12], "images": options.faces, **search}
        with torch.no_grad():
            own = faces.synthesize(faces.sample(range(options.faces), seed=_FACE_SEED))
        told["faces"] = about | {
            kind: rows.get(
                f"faces/{kind}", about,
                lambda images=images: measure_faces(faces, images, options.steps, options.starts),
            )
            for kind, images in (
                ("samples", own.clamp(-1, 1)),
                ("photographs", photographs(options.faces, faces.image_size)),
            )
        }  # fmt: skip
    print(json.dumps(told) if options.json else json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
