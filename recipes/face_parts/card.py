"""Measures the trained segmenter and writes its model card; no number is written by hand."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from recipes.face_parts.augment import mirror_ids
from recipes.face_parts.labels import Labelled, to_floats
from recipes.face_parts.teacher import Teacher
from segmenters.faces import ARCHITECTURE, INPUT_SIZE, VOCABULARY, FacesSegmenter

_BATCH = 32
_ROUNDS = 8


@dataclass(frozen=True)
class Agreement:
    """Agreement of a concept's found pixels with the expected ones, pooled over images.

    Args:
        both: Pixels that are both found and expected.
        found, expected: Pixels of each.
        n_pixels: All pixels.
    """

    both: int
    found: int
    expected: int
    n_pixels: int

    @property
    def iou(self) -> float:
        """Intersection over union; NaN where neither has a pixel."""
        union = self.found + self.expected - self.both
        return self.both / union if union else float("nan")

    @property
    def share(self) -> float:
        """Fraction of all pixels on which the concept is expected."""
        return self.expected / self.n_pixels


Pair = tuple[Int[Tensor, "batch 2 height width"], Int[Tensor, "batch 2 height width"]]


def compare(pairs: Iterable[Pair]) -> dict[str, Agreement]:
    """Agreement of each concept, by name, over pairs of label planes: found, expected."""
    n = len(VOCABULARY) + 1
    both, n_found, n_expected = (torch.zeros(n, dtype=torch.int64) for _ in range(3))
    n_pixels = 0
    for found, expected in pairs:
        n_found += torch.bincount(found.flatten(), minlength=n)
        n_expected += torch.bincount(expected.flatten(), minlength=n)
        both += torch.bincount(found[found == expected], minlength=n)
        n_pixels += expected[:, 0].numel()
    return {
        concept.name: Agreement(
            int(both[concept.id]), int(n_found[concept.id]), int(n_expected[concept.id]), n_pixels
        )
        for concept in VOCABULARY
    }


def pair_student(segmenter: FacesSegmenter, data: Labelled) -> Iterator[Pair]:
    """The student's labels with the teacher's."""
    batches = torch.arange(len(data)).split(_BATCH)
    for rows in tqdm(batches, desc="the student and the teacher"):
        images = to_floats(data.images[rows]).to(segmenter.device)
        yield segmenter.segment(images).cpu(), data.planes[rows].long()


def pair_mirrored(teacher: Teacher, data: Labelled) -> Iterator[Pair]:
    """The teacher's labels of the mirrored image, mirrored back, with those of the image.

    Where the teacher is unsure, a student cannot agree with it either. Omits images in whose mirror
    image it finds no face.
    """
    swap = mirror_ids()
    for image, planes in tqdm(
        zip(data.images, data.planes, strict=True),
        total=len(data),
        desc="the teacher in the mirror",
    ):
        mirrored = teacher.label(np.ascontiguousarray(image.flip(-1).permute(1, 2, 0).numpy()))
        if mirrored is not None:
            yield swap[torch.from_numpy(mirrored).long().flip(-1)][None], planes.long()[None]


def measure_cost(segmenter: FacesSegmenter) -> float:
    """Milliseconds of processor time per image, in batches of 32 on one thread.

    Uses processor time, and the minimum of a few rounds, to reduce the influence of other work.
    """
    images = torch.zeros(_BATCH, 3, INPUT_SIZE, INPUT_SIZE, device=segmenter.device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = []
        for _ in range(_ROUNDS):
            start = time.process_time()
            segmenter.segment(images)
            seconds.append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    return 1000 * min(seconds) / _BATCH


def write_card(
    path: Path,
    *,
    segmenter: FacesSegmenter,
    weights: Path,
    student: dict[str, Agreement],
    mirrored: dict[str, Agreement],
    training: Labelled,
    held_out: Labelled,
    seeds: tuple[int, int],
    n_epochs: int,
    teacher: str,
) -> None:
    """Write the card beside the weights."""
    rows = [
        f"| {concept.name} | {concept.plane} | {student[concept.name].iou:.2f} "
        f"| {mirrored[concept.name].iou:.2f} | {100 * student[concept.name].share:.2f} % |"
        for concept in VOCABULARY
    ]
    shown = training.n_asked + held_out.n_asked
    missed = shown - len(training) - len(held_out)
    text = _CARD.format(
        encoder=ARCHITECTURE["encoder_name"],
        n_parameters=sum(p.numel() for p in segmenter.network.parameters()),
        kilobytes=weights.stat().st_size / 1000,
        milliseconds=measure_cost(segmenter),
        batch=_BATCH,
        fingerprint=segmenter.fingerprint,
        teacher=teacher,
        n_training=len(training),
        n_held_out=len(held_out),
        seed=seeds[0],
        held_out_seed=seeds[1],
        n_epochs=n_epochs,
        shown=shown,
        missed=missed,
        missed_percent=100 * missed / shown,
        rows="\n".join(rows),
    )
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


_CARD = """\
# faces

Parts of a face at 64 × 64, in two planes: *object* (person, background) and *part* (skin, brows,
eyes, nose, lips, mouth inside). Left and right are the person's own. Skin is the oval of the face
less the other parts, without neck and ears.

| | |
|---|---|
| network | U-Net, encoder {encoder}, {n_parameters:,} parameters; sees the mirror image too |
| file | {kilobytes:,.0f} kB, weights in half precision |
| cost | {milliseconds:.1f} ms of processor time an image (CPU, one thread, batches of {batch}) |
| teacher | {teacher}: face mesh and selfie mask |
| trained on | {n_training:,} images of `faces-dcgan`, seed {seed}, {n_epochs} epochs |
| tested on | {n_held_out:,} images of seed {held_out_seed} |
| fingerprint | `{fingerprint}` |

## Agreement with the teacher

On latents that were not trained on; pixels are pooled over all images. *Student* is the IoU of the
student with the teacher, *mirror* that of the teacher with itself, shown the image and its mirror
image: it says how sure the teacher is. *Share* is the fraction of pixels that the teacher gives the
concept.

| concept | plane | student | mirror | share |
|---|---|---:|---:|---:|
{rows}

**The teacher is not the truth.** These numbers say how well the student repeats it, not how well it
marks faces. The teacher draws the parts where a face should have them, also under hair, glasses or
a hat, and its oval reaches past the cheek when a face is turned away.

The teacher found no face in {missed:,} of {shown:,} images ({missed_percent:.1f} %). They were left
out of training and of the table: on such images nothing is known about the student.

## Use and limits

- Made to count pixels when a generator of such faces is dissected. Not made to recognise,
  verify or judge people.
- It knows one generator's images: one face, larger than half of the frame, 64 × 64. Larger images
  are reduced first; faces framed otherwise are beyond what was tested.
- Brows and lips are one to three pixels thick at this size: one pixel of doubt costs much IoU.
- Training images were moved, recoloured, blotted and blurred in places, so that the student stands
  edited images; how well it stands them was not measured against labels.
- `faces-dcgan` (MIT) was trained on DigiFace-1M: rendered people, none of whom exists. MediaPipe
  and its models are under Apache 2.0.

Made by `python -m recipes.face_parts`, which also wrote this page.
"""
