"""Makes the weights of the ``faces`` segmenter and their card.

    pip install 'gan-dissection[faces-teacher]'
    dissect zoo get faces-dcgan
    python -m recipes.face_parts

Takes about half an hour on two cores. After an interruption, the same command continues.
``--smoke`` runs all steps on a few images in a minute, as a test.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save
from torch import nn

from dissect.generators import load_generator
from recipes.face_parts.card import compare, pair_mirrored, pair_student, write_card
from recipes.face_parts.labels import label_samples
from recipes.face_parts.teacher import Teacher
from recipes.face_parts.train import Training, train
from segmenters import faces
from segmenters.errors import DissectError
from segmenters.fetching import cache_folder

TRAINING_SEED, HELD_OUT_SEED = 101, 102


@dataclass(frozen=True)
class Scale:
    """Amount of work."""

    n_training: int
    n_held_out: int
    training: Training


FULL = Scale(n_training=14_000, n_held_out=1_000, training=Training())
SMOKE = Scale(n_training=96, n_held_out=32, training=Training(n_epochs=2, batch_size=16))


def main(arguments: list[str] | None = None) -> int:
    """Run the recipe; returns the exit code."""
    options = _parse(arguments)
    work = options.work or cache_folder() / "recipes" / "face_parts"
    # A smoke test never touches the weights of the package.
    out = options.out or (work / "smoke" if options.smoke else faces.WEIGHTS.parent)
    try:
        make(SMOKE if options.smoke else FULL, work=work, out=out)
    except (DissectError, ImportError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def make(scale: Scale, *, work: Path, out: Path) -> None:
    """Label, train, measure, write."""
    generator = load_generator("faces-dcgan")
    teacher = Teacher()
    held_out, training = (
        label_samples(generator, teacher, seed=seed, n_samples=n, work=work)
        for seed, n in (
            (HELD_OUT_SEED, scale.n_held_out),
            (TRAINING_SEED, scale.n_training),
        )
    )
    network = train(training, scale.training, work=work)
    weights = out / faces.WEIGHTS.name
    save_weights(network, weights)
    # Measured as users load it: from the file, after rounding to half precision.
    segmenter = faces.load(weights=weights)
    student = compare(pair_student(segmenter, held_out))
    write_card(
        weights.with_suffix(".md"),
        segmenter=segmenter,
        weights=weights,
        student=student,
        mirrored=compare(pair_mirrored(teacher, held_out)),
        training=training,
        held_out=held_out,
        seeds=(TRAINING_SEED, HELD_OUT_SEED),
        n_epochs=scale.training.n_epochs,
        teacher=teacher.name,
    )
    print(f"{weights}: " + ", ".join(f"{k} {v.iou:.2f}" for k, v in student.items()))


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the network with the metadata that ``faces.load`` checks; kernels in half precision.

    Vectors (norms, biases) stay in single: they are small, and running variances may be tiny.
    """
    tensors = {
        name: (value.half() if value.ndim > 1 else value).contiguous()
        for name, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(save(tensors, metadata=faces.write_metadata(faces.describe())))
    partial.replace(path)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m recipes.face_parts", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--work", type=Path, help="folder for labels and checkpoints (the user's cache)"
    )
    parser.add_argument("--out", type=Path, help="folder for weights and card (the package)")
    parser.add_argument("--smoke", action="store_true", help="a few images, to test the machinery")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
