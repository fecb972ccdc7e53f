"""Colours of concepts without a colour of their own: ``segmenters/names/colours.txt``.

    python -m recipes.concept_colours

Each colour is the one of a grid that is farthest from all previous ones. The distance of two
colours is the smallest of their distances in OKLab, as seen with all cones, without the red and
without the green ones (Machado et al. 2009, severity 1). Almost everybody can distinguish two
colours early in the list. 256 colours are not distinguishable, so names are always shown beside
them.

References:
    Ottosson, "A perceptual color space for image processing", 2020.
    Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision
    Deficiency", IEEE TVCG 2009, table 1.
"""

from itertools import product
from pathlib import Path

import numpy as np
import torch

from segmenters.colour import oklab

OUT = Path(__file__).resolve().parents[1] / "segmenters" / "names" / "colours.txt"
N_COLOURS = 256
# Okabe and Ito's, which are also the first colours of the shipped segmenters.
FIRST = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
STEP = 15
LIGHTEST, DARKEST = 0.93, 0.30  # OKLab lightness, visible on white and on black

_WITHOUT = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
)


def _seen(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB bytes (n, 3) to OKLab as seen by three kinds of eyes (3, n, 3)."""
    unit = rgb / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    views = []
    for matrix in _WITHOUT:
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        srgb = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
        image = torch.from_numpy(2 * srgb - 1).T[None, :, :, None]
        views.append(oklab(image)[0, :, 0].numpy())
    return np.stack(views)


def choose() -> list[str]:
    """The colours, in order."""
    first = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in FIRST]
    grid = np.array(list(product(range(0, 256, STEP), repeat=3)))
    light = _seen(grid)[0, :, 0]
    grid = grid[(light >= DARKEST) & (light <= LIGHTEST)]
    seen, chosen = _seen(grid), [np.array(colour) for colour in first]
    nearest = np.full(len(grid), np.inf)
    for colour in _seen(np.array(first)).transpose(1, 0, 2):
        nearest = np.minimum(nearest, _distance(seen, colour))
    while len(chosen) < N_COLOURS:
        # Rounded, so that machines agree on the farthest; ties take the first.
        best = int(np.round(nearest, 6).argmax())
        chosen.append(grid[best])
        nearest = np.minimum(nearest, _distance(seen, seen[:, best]))
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in chosen]


def _distance(seen: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.sqrt(((seen - colour[:, None]) ** 2).sum(axis=2)).min(axis=0)


if __name__ == "__main__":
    partial = OUT.with_suffix(".partial")
    partial.write_text("".join(f"{colour}\n" for colour in choose()), encoding="utf-8")
    partial.replace(OUT)
