"""The training of the scenes segmenter: truth stays true through augmentation, scores are exact."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dissect.worlds import render_scenes
from recipes.scenes_segmenter.augment import augment
from recipes.scenes_segmenter.train import PLANE_SIZES, evaluate, plane_loss
from segmenters.scenes import ScenesNetwork
from segmenters.scenes_vocabulary import ATTRIBUTES, SCENES_VOCABULARY

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scenes():
    return render_scenes(range(8), seed=1)


def test_augmentation_bends_labels_along_with_the_image(scenes):
    # The labels themselves as an image: bent alike, they must still agree away from borders.
    painted = scenes.planes.float() / 13 - 1
    changed, planes = augment(painted, scenes.planes, torch.Generator().manual_seed(0))
    assert not torch.equal(planes, scenes.planes)
    found = (changed - changed.mean(dim=(2, 3), keepdim=True)).flatten(1)
    true = planes.float()
    true = (true - true.mean(dim=(2, 3), keepdim=True)).flatten(1)
    agreement = torch.nn.functional.cosine_similarity(found, true, dim=1)
    assert agreement.min() > 0.9


def test_augmentation_keeps_every_label_in_its_plane(scenes):
    _, planes = augment(scenes.images, scenes.planes, torch.Generator().manual_seed(3))
    for k, plane in enumerate(SCENES_VOCABULARY.planes):
        allowed = {0} | {c.id for c in SCENES_VOCABULARY.in_plane(plane)}
        assert set(planes[:, k].unique().tolist()) <= allowed


def test_the_loss_is_lowest_at_the_truth(scenes):
    parts, first = [], 0
    for k, size in enumerate(PLANE_SIZES):
        target = scenes.planes[:, k].long()
        target = torch.where(target > 0, target - first, target)
        parts.append(torch.nn.functional.one_hot(target, size).movedim(-1, 1).float() * 30)
        first += size - 1
    logits = torch.cat(parts, dim=1)
    assert plane_loss(logits, scenes.planes) < 1e-3
    assert plane_loss(logits.roll(1, dims=1), scenes.planes) > 1


def test_scores_are_those_of_a_naive_count():
    torch.manual_seed(0)
    network = ScenesNetwork().eval().requires_grad_(False)
    scores = evaluate(network, n_images=6)
    scenes = render_scenes(range(6), seed=scores["seed"])
    logits, attributes = network(scenes.images)
    guess = logits[:, : PLANE_SIZES[0]].argmax(dim=1)
    for concept in SCENES_VOCABULARY.in_plane("object")[:4]:
        a, b = guess == concept.id, scenes.planes[:, 0] == concept.id
        expected = (a & b).sum() / (a | b).sum()
        assert scores["iou"][concept.name] == pytest.approx(expected.item(), abs=1e-6)
    truth = scenes.attributes[:, 0]
    residual = ((attributes[:, 0] - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert scores["r2"][ATTRIBUTES[0]] == pytest.approx(1 - residual.item(), abs=1e-3)


@pytest.mark.slow
def test_one_command_trains_measures_and_writes_weights_with_their_card(tmp_path):
    command = [sys.executable, "-m", "recipes.scenes_segmenter", "--smoke", "--threads", "1"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scenes.md", "scenes.safetensors"]
    assert "Mean IoU over the concepts" in (tmp_path / "scenes.md").read_text()
