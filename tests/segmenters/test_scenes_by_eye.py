"""What the segmenter of scenes says of generated images, against what a person saw in them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segmenters import load_segmenter

DATA = Path(__file__).resolve().parents[1] / "data" / "by_eye"
SIZE, N = 64, 64
LEAST_PIXELS = 12  # of a concept that an image is said to show


@pytest.fixture(scope="module")
def answers():
    """Image × concept: what the segmenter says; what the person said, NaN where unclear."""
    seen = json.loads((DATA / "scenes.json").read_text())
    with Image.open(DATA / "scenes.png") as sheet:
        pixels = torch.from_numpy(np.array(sheet.convert("RGB"))).float() / 127.5 - 1
    columns = pixels.shape[1] // SIZE
    images = pixels.reshape(-1, SIZE, columns, SIZE, 3).permute(0, 2, 4, 1, 3).flatten(0, 1)
    segmenter = load_segmenter("scenes")
    labels = segmenter.segment(images.contiguous())
    said = np.stack(
        [
            ((labels == segmenter.vocabulary[name].id).sum(dim=(1, 2, 3)) >= LEAST_PIXELS).numpy()
            for name in seen["concepts"]
        ],
        axis=1,
    )
    values = {"+": 1.0, "-": 0.0, "?": np.nan}
    person = np.array([[values[letter] for letter in row] for row in seen["seen"]])
    assert said.shape == person.shape == (N, 8)
    return said, person


def agreement(said: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Share of the images that are clear to the person in which both say the same."""
    clear = np.isfinite(person)
    return ((said == person) & clear).sum(axis=0) / clear.sum(axis=0)


def test_the_segmenter_sees_what_a_person_sees(answers):
    said, person = answers
    assert (np.isfinite(person).sum(axis=0) >= 30).all()
    assert agreement(said, person).min() >= 0.9
    assert agreement(said, person).mean() >= 0.95


def test_the_labels_of_other_images_would_not_do(answers):
    said, person = answers
    assert agreement(np.roll(said, 1, axis=0), person).mean() < 0.8
