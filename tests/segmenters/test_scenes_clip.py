"""scenes-clip as it is shipped: what its card says holds on fresh renders, with room."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

pytest.importorskip("open_clip", reason="open_clip is not installed")

from dissect.worlds import render_scenes, scene_facts
from segmenters import SegmenterError, load_segmenter
from segmenters.clip_models import load_clip

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clip():
    return load_clip("scenes-clip")


@pytest.fixture(scope="module")
def scenes():
    return render_scenes(range(150), seed=77)


def test_words_lie_nearer_to_the_scenes_that_show_them(clip, scenes):
    facts = scene_facts(scenes)
    with torch.no_grad():
        images = clip.encode_images(scenes.images)
    for words, fact in (
        ("night", "night"), ("daylight", "day"), ("winter", "winter"), ("snow", "snow"),
        ("a house", "house"), ("lit windows", "lit window"), ("the moon", "moon"), ("fog", "fog"),
    ):  # fmt: skip
        held = np.array([fact in own for own in facts])
        scores = (images @ clip.encode_texts([words])[0]).numpy()
        assert roc_auc_score(held, scores) > 0.8, words


def test_a_word_that_it_never_saw_is_named():
    with pytest.raises(SegmenterError, match="never saw the word 'dragon'"):
        load_segmenter("clip:a red dragon|a house")


def test_the_ground_and_the_sky_are_told_apart_pixel_by_pixel(scenes):
    labels = load_segmenter("clip:the sky|snow|grass,background=0").segment(scenes.images[:12])[
        :, 0
    ]
    sky = (labels == 1).float()
    assert sky[:, :16].mean() > sky[:, 48:].mean() + 0.3
