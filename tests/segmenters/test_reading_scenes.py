"""The scenes segmenter and predictor: protocol, sizes, files. Their worth is in the card."""

import pytest
import torch

from dissect.worlds import render_scenes
from segmenters import load_predictor, load_segmenter
from segmenters.base import Predictor, Segmenter
from segmenters.errors import SegmenterError
from segmenters.scenes import (
    ScenesNetwork,
    ScenesPredictor,
    ScenesSegmenter,
    load_network,
    save_network,
)
from segmenters.scenes_vocabulary import ATTRIBUTES, SCENES_VOCABULARY
from tests.rounding import assert_same


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return ScenesNetwork().eval().requires_grad_(False)


def test_labels_lie_in_their_planes_and_are_the_highest_scores(network):
    segmenter = ScenesSegmenter(network, device="cpu")
    assert isinstance(segmenter, Segmenter)
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    labels, scores = segmenter.segment(images), segmenter.score(images)
    assert labels.shape == (3, 3, 64, 64)
    assert scores.shape == (3, len(SCENES_VOCABULARY), 64, 64)
    for k, plane in enumerate(SCENES_VOCABULARY.planes):
        ids = [c.id for c in SCENES_VOCABULARY.in_plane(plane)]
        assert set(labels[:, k].unique().tolist()) <= {0, *ids}
        of_plane = scores[:, ids[0] - 1 : ids[-1]]
        none = 1 - of_plane.sum(dim=1)
        best = torch.cat([none[:, None], of_plane], dim=1).argmax(dim=1)
        expected = torch.where(best > 0, best + ids[0] - 1, best)
        assert (labels[:, k] == expected).float().mean() > 0.999


def test_labels_come_at_the_size_of_the_image(network):
    segmenter = ScenesSegmenter(network, device="cpu")
    assert segmenter.segment(torch.zeros(1, 3, 48, 96)).shape == (1, 3, 48, 96)
    assert ScenesPredictor(network, device="cpu").predict(torch.zeros(2, 3, 128, 128)).shape == (
        2,
        len(ATTRIBUTES),
    )


def test_scores_and_attributes_have_gradients_in_the_images(network):
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    images.requires_grad_(True)
    ScenesSegmenter(network, device="cpu").score(images)[:, 0].sum().backward()
    assert images.grad.abs().max() > 0
    images.grad = None
    ScenesPredictor(network, device="cpu").predict(images).sum().backward()
    assert images.grad.abs().max() > 0


def test_an_image_is_read_alike_in_any_batch(network):
    segmenter = ScenesSegmenter(network, device="cpu")
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    alone = segmenter.score(images[2:3])
    assert_same(segmenter.score(images)[2:3], alone)


def test_saved_weights_come_back_and_others_are_refused(network, tmp_path):
    path = tmp_path / "scenes.safetensors"
    save_network(network, path)
    again = load_network(path)
    images = torch.randn(1, 3, 64, 64)
    assert (again(images)[1] - network(images)[1]).abs().max() < 0.05
    fingerprint = ScenesSegmenter(again, device="cpu").fingerprint
    assert fingerprint == ScenesSegmenter(load_network(path), device="cpu").fingerprint
    path.write_bytes(b"nothing")
    with pytest.raises(SegmenterError, match="cannot read"):
        load_network(path)


def test_the_shipped_weights_read_fresh_renders_as_their_card_says():
    scenes = render_scenes(range(96), seed=123)
    labels = load_segmenter("scenes").segment(scenes.images)
    ious = []
    for k, plane in enumerate(SCENES_VOCABULARY.planes):
        for concept in SCENES_VOCABULARY.in_plane(plane):
            a, b = labels[:, k] == concept.id, scenes.planes[:, k] == concept.id
            ious.append(((a & b).sum() / (a | b).sum()).item())
    assert sum(ious) / len(ious) > 0.85
    assert min(ious) > 0.6

    prediction = load_predictor("scenes").predict(scenes.images)
    residual = (prediction - scenes.attributes).square().sum(dim=0)
    spread = (scenes.attributes - scenes.attributes.mean(dim=0)).square().sum(dim=0)
    assert (1 - residual / spread).min() > 0.7


def test_the_predictor_is_found_by_name_and_tells_renders_apart():
    predictor = load_predictor("scenes")
    assert isinstance(predictor, Predictor)
    scenes = render_scenes(range(64), seed=123)
    found = predictor.predict(scenes.images)
    assert found.shape == (64, len(ATTRIBUTES))
    lighting = torch.corrcoef(torch.stack([found[:, 0], scenes.attributes[:, 0]]))[0, 1]
    assert lighting > 0.9


def test_an_unknown_predictor_is_told_in_one_line():
    with pytest.raises(
        SegmenterError, match=r"predictor 'scene' is not known; did you mean 'scenes'"
    ):
        load_predictor("scene")
