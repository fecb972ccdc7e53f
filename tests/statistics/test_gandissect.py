"""Against loops written from the definitions in the original's ``collect_iqr`` and
``collect_bincounts``: image by image, with the categories that an image holds."""

import numpy as np
import pytest
import torch

from dissect import ConfigError, RunConfig, dissect
from dissect.counting.samples import label_block
from dissect.counting.subject import Subject
from dissect.statistics import BlockLabels, Counter, LayerCounts, calibration_size, score
from dissect.statistics.gandissect import add_plane_labels, choose_unit_edges, plane_rows
from dissect.statistics.resize import resize
from dissect.statistics.scores import above, pixels
from segmenters import Vocabulary
from segmenters.colour import ColourSegmenter
from tests.statistics.test_counts import random_case

PLANTED = "dissect.worlds.planted:generator"


def mutual_over_joint(cells):
    """I/H of four cells that sum to 1, [[both, only unit], [only concept, neither]]."""
    mutual = joint = 0.0
    for j in range(2):
        for k in range(2):
            p = cells[j][k]
            if p > 1e-15:
                mutual += p * np.log(p / (sum(cells[j]) * (cells[0][k] + cells[1][k])))
                joint -= p * np.log(p)
    return mutual / joint if joint > 0 else 0.0


def count(values, planes, plane_of, level):
    """Per unit and concept at one level: I, A in images with the plane, C, pixels of such images."""
    n_units, n_concepts = values.shape[1], len(plane_of)
    inside = np.zeros((n_units, n_concepts), int)
    active = np.zeros((n_units, n_concepts), int)
    area, total = np.zeros(n_concepts, int), np.zeros(n_concepts, int)
    for image in range(len(values)):
        for concept, plane in enumerate(plane_of):
            if not (planes[image, plane] > 0).any():
                continue
            mask = planes[image, plane] == concept + 1
            total[concept] += mask.size
            area[concept] += mask.sum()
            for unit in range(n_units):
                fires = values[image, unit] > level[unit]
                active[unit, concept] += fires.sum()
                inside[unit, concept] += (fires & mask).sum()
    return inside, active, area, total


def naive(values, planes, plane_of, edges, n_train):
    """Levels, labels of the training images; IoU and I/H of the others."""
    n_units, n_edges = edges.shape
    n_pixels = n_train * values[0, 0].size
    best = [(0.0, 0, None) for _ in range(n_units)]
    fallback = [None] * n_units
    for edge in range(n_edges - 1, -1, -1):
        inside, active, area, total = count(
            values[:n_train], planes[:n_train], plane_of, edges[:, edge]
        )
        for unit in range(n_units):
            if (values[:n_train, unit] > edges[unit, edge]).sum() < 1e-3 * n_pixels:
                continue
            if fallback[unit] is None:
                fallback[unit] = edge
            if edges[unit, edge] <= 0:
                continue
            for concept in range(len(plane_of)):
                truth = area[concept] / n_pixels
                if truth < 1e-3:
                    continue
                predicted = active[unit, concept] / total[concept]
                both = inside[unit, concept] / n_pixels
                neither = 1 - truth - predicted + both
                if both + neither <= 0.8:
                    continue
                quality = mutual_over_joint([[both, predicted - both], [truth - both, neither]])
                known, first, _ = best[unit]
                if quality > known + 1e-12 or (abs(quality - known) <= 1e-12 and concept < first):
                    best[unit] = (quality, concept, edge)
    fallback = [n_edges - 1 if edge is None else edge for edge in fallback]
    chosen = [fallback[u] if found[2] is None else found[2] for u, found in enumerate(best)]
    level = edges[np.arange(n_units), chosen]
    inside, active, area, total = count(values[n_train:], planes[n_train:], plane_of, level)
    iou = inside / np.where(active + area - inside == 0, 1, active + area - inside)
    quality = np.zeros_like(iou)
    for unit in range(n_units):
        for c in range(len(plane_of)):
            if total[c]:
                i, a = inside[unit, c], active[unit, c]
                cells = [[i, a - i], [area[c] - i, total[c] - a - area[c] + i]]
                quality[unit, c] = mutual_over_joint((np.array(cells) / total[c]).tolist())
    return chosen, [found[1] for found in best], level, iou, quality


def sparse_case(seed, n):
    """As ``random_case``, with images that hold nothing of a plane and concepts that are rare."""
    maps, planes, edges, n_concepts = random_case(seed, images=n, grid=(5, 6), units=4, edges=9)
    draw = torch.Generator().manual_seed(seed)
    planes *= (torch.rand(planes.shape, generator=draw) < 0.2) * (
        torch.rand(n, 2, 1, 1, generator=draw) < 0.6
    )
    # Unit 0 follows concept 4; its map has the masks' size, so that the threshold finds it.
    maps = resize(maps, (5, 6))
    maps[:, 0] += 6 * (planes[:, 1] == 4)
    edges[0] = torch.linspace(-1, 5, 9)
    return maps, planes, edges, n_concepts


def dense_case(seed, n):
    """Unit 0 fires on a half of each image; unit 1 best tells what less than a thousandth fires on.

    So the first is chosen only where agreement counts what both do, the second is not chosen where
    too little lies above its threshold.
    """
    draw = torch.Generator().manual_seed(seed)
    planes = torch.zeros(n, 2, 20, 20, dtype=torch.int64)
    planes[:, 0, :, :10] = 1
    planes[0, 0, :6, 15] = 2
    planes[:, 1] = torch.randint(0, 2, (n, 20, 20), generator=draw) * 4
    maps = torch.rand(n, 4, 20, 20, generator=draw)
    maps[:, 0] += 2 * (planes[:, 0] == 1)
    maps[0, 1, :3, 15] = 5
    edges = (torch.arange(9) / 2 - 0.5).repeat(4, 1)
    return maps, planes, edges, 5


@pytest.mark.parametrize(
    ("case", "seed", "first_label"),
    [*((sparse_case, seed, 3) for seed in range(4)), (dense_case, 0, 0)],
)
def test_thresholds_labels_and_scores_are_those_of_the_original_definition(case, seed, first_label):
    n, plane_of = 53, [0, 0, 1, 1, 1]
    maps, planes, edges, n_concepts = case(seed, n)
    vocabulary = Vocabulary.build(
        [(f"c{c}", "object", f"plane {p}", "#000000") for c, p in enumerate(plane_of)]
    )
    rows = plane_rows(vocabulary)
    counts = LayerCounts.empty(n_concepts=n_concepts, n_units=4, n_edges=9, n_planes=2)
    counter = Counter(counts, edges, quantile_edge=2, plane_rows=rows)
    for start in range(0, n, 16):
        block = list(range(start, min(start + 16, n)))
        labels = BlockLabels.prepare(
            planes[block], block, n_concepts=n_concepts, n_samples=n, count_planes=True
        )
        counter.add(maps[block], labels)
    chosen, label, _, iou, quality = naive(
        maps.numpy(), planes.numpy(), plane_of, edges.numpy(), calibration_size(n)
    )
    kinds, named = choose_unit_edges(counts.histogram[0], edges.numpy(), rows, quantile_edge=2)
    np.testing.assert_array_equal(counter.chosen, kinds)
    np.testing.assert_array_equal(kinds[0], np.full((4, 5), 2))
    np.testing.assert_array_equal(kinds[1], np.repeat(np.array(chosen)[:, None], 5, axis=1))
    assert named.tolist() == label
    assert named[0] == first_label
    pairs = counts.pairs
    scores = score(
        *(
            array.sum(axis=0)
            for array in (pairs.inside, pairs.active, pairs.shuffled, pairs.products)
        ),
        pairs.area.sum(axis=0),
        pixels(counts.histogram[1])[rows],
        image_pixels=1,  # of which chance alone makes something
    )
    np.testing.assert_array_equal(np.nan_to_num(scores.iou[1]), iou)
    np.testing.assert_allclose(scores.information[1], quality, atol=1e-12)
    if case is sparse_case:
        # Some image holds nothing of a plane: the case tells the two ways of counting apart.
        assert (pairs.active.sum(axis=0)[1] < above(counts.histogram)[1, 0, :, :].max()).any()
        assert (pixels(counts.histogram[1])[rows] < pixels(counts.histogram[1])[0]).all()


def test_an_image_without_a_concept_of_the_plane_does_not_count():
    # Eight images to choose on, eight to score, 2 × 2 pixels. The unit fires on the left column of
    # each. Concept 1 is the left column of images 0 … 3 and 8 … 11; the others hold nothing of it.
    maps = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).expand(16, 1, 2, 2).clone()
    planes = torch.zeros(16, 1, 2, 2, dtype=torch.int64)
    planes[[0, 1, 2, 3, 8, 9, 10, 11], 0, :, 0] = 1
    rows = plane_rows(Vocabulary.build([("left", "object", "object", "#000000")]))
    found = {}
    for n_planes in (0, 1):
        counts = LayerCounts.empty(n_concepts=1, n_units=1, n_edges=1, n_planes=n_planes)
        counter = Counter(
            counts, torch.tensor([[0.5]]), quantile_edge=0, plane_rows=rows if n_planes else None
        )
        labels = BlockLabels.prepare(
            planes, list(range(16)), n_concepts=1, n_samples=16, count_planes=bool(n_planes)
        )
        counter.add(maps, labels)
        found[n_planes] = counts
    plain, original = (found[n].pairs for n in (0, 1))
    assert plain.inside.sum(axis=0)[1, 0, 0] == original.inside.sum(axis=0)[1, 0, 0] == 8
    assert plain.active.sum(axis=0)[1, 0, 0] == 16  # IoU ½
    assert original.active.sum(axis=0)[1, 0, 0] == 8  # IoU 1
    np.testing.assert_array_equal(found[0].histogram, found[1].histogram[:, :2])


def test_plane_labels_cover_the_images_that_hold_something_of_the_plane():
    planes = torch.zeros(2, 2, 3, 3, dtype=torch.int64)
    planes[1, 0, 2, 2] = 1
    more = add_plane_labels(planes, 5)
    assert torch.equal(more[:, :2], planes)
    assert more[:, 2:, 0, 0].tolist() == [[0, 0], [6, 0]]
    assert (more[1, 2] == 6).all()


class TwoPlanes:
    """Red, green and blue in one plane; purple, which is rare, in another."""

    name, fingerprint, device = "two planes", "two planes", torch.device("cpu")
    vocabulary = Vocabulary.build(
        [
            ("red", "colour", "paint", "#ff0000"),
            ("green", "colour", "paint", "#00ff00"),
            ("blue", "colour", "paint", "#0000ff"),
            ("purple", "colour", "rare", "#800080"),
        ]
    )

    def __init__(self):
        self._colours = ColourSegmenter()

    def segment(self, images):
        found = self._colours.segment(images)[:, 0]
        planes = torch.zeros(len(images), 2, *images.shape[2:], dtype=torch.int64)
        for concept in self.vocabulary:
            here = found == self._colours.vocabulary[concept.name].id
            planes[:, self.vocabulary.planes.index(concept.plane)][here] = concept.id
        return planes


def test_a_run_gives_the_numbers_of_the_original_definition(planted, tmp_path):
    run = dissect(
        planted, TwoPlanes(), out=tmp_path / "r", n_samples=72, compat="gandissect", progress=False
    )
    assert run.record["coverage"]["grid"] == 16
    subject = Subject(planted, TwoPlanes(), run.config)
    blocks = [subject.block(number) for number in range(3)]
    planes = torch.cat([label_block(TwoPlanes(), block.images, 16) for block in blocks])
    whole = torch.cat([TwoPlanes().segment(block.images) for block in blocks])
    assert torch.equal(planes, whole[:, :, 1::2, 1::2])
    values = resize(torch.cat([block.maps["units"] for block in blocks]), (16, 16))
    edges = run.array("units", "edges").values
    _, label, level, iou, quality = naive(
        values.numpy(), planes.numpy(), [0, 0, 0, 1], edges, calibration_size(72)
    )
    units = run.units("units")
    names = np.array(run.vocabulary.names)
    assert units.concept.tolist() == names[label].tolist()
    assert units.concept[:3].tolist() == ["red", "green", "blue"]
    np.testing.assert_array_equal(units.threshold, level.astype(np.float64))
    np.testing.assert_array_equal(np.nan_to_num(run.iou("units")), iou)
    stored = run.array("units", "information_quality_ratio").sel(threshold="information").values
    np.testing.assert_allclose(stored, quality, atol=1e-12)
    own = (np.arange(9), label)
    expected = (iou[own] > 0.05) & (quality[own] > 0.01)
    assert units.is_named.tolist() == expected.tolist()
    assert (run.array("units", "threshold").sel(threshold="information").std("concept") == 0).all()
    chance = run.array("units", "chance").values
    assert ((chance >= 0) & (chance <= 1) | np.isnan(chance)).all()
    assert run.areas().index.tolist() == list(run.vocabulary.names)


def test_at_the_quantile_threshold_the_label_is_the_highest_iou(planted, tmp_path):
    run = dissect(
        planted, TwoPlanes(), out=tmp_path / "r", n_samples=48, compat="gandissect",
        threshold="quantile", tail=0.02, progress=False,
    )  # fmt: skip
    best = np.nan_to_num(run.iou("units").values, nan=-1).argmax(axis=1)
    assert run.units("units").concept.tolist() == np.array(run.vocabulary.names)[best].tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compat": "netdissect"}, "compat is 'netdissect'; did you mean 'gandissect'"),
        ({"compat": "gandissect", "grid": 64}, "grid is 64 with compat 'gandissect'"),
        ({"compat": "gandissect", "fdr": 0.1}, "fdr is 0.1 with compat"),
    ],
)
def test_settings_that_compat_has_its_own_rule_for_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig("a", "b", ("c",), **settings)
