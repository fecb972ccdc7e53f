"""The faces segmenter, its weights and its card."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.face_parts.teacher import POLYGONS
from segmenters import Segmenter, faces
from segmenters.errors import SegmenterError

VOCABULARY = faces.VOCABULARY
SIDES = ("left brow", "right brow", "left eye", "right eye")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def segmenter() -> faces.FacesSegmenter:
    return faces.load()


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    """Smooth random images, which the segmenter takes apart into many concepts."""
    coarse = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.tanh(torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic"))


def draw_face(*, height: int = 64, width: int = 64, turn: float = 0.0) -> torch.Tensor:
    """A face of ellipses, enough for the segmenter to know its sides; ``turn`` moves its parts."""
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij"
    )
    image = torch.empty(3, height, width)
    image[:] = torch.tensor([0.1, 0.3, 0.1]).view(3, 1, 1)

    def fill(centre: tuple[float, float], radius: tuple[float, float], colour: list[float]) -> None:
        inside = ((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 < 1
        image[:, inside] = torch.tensor(colour).view(3, 1)

    fill((0.5, 0.45), (0.40, 0.48), [-0.7, -0.8, -0.85])
    fill((0.5, 0.53), (0.33, 0.42), [0.5, 0.15, -0.1])
    for side in (-1, 1):
        fill((0.5 + turn + 0.15 * side, 0.37), (0.09, 0.02), [-0.6, -0.7, -0.8])
        fill((0.5 + turn + 0.14 * side, 0.44), (0.065, 0.03), [0.6, 0.5, 0.5])
        fill((0.5 + turn + 0.14 * side, 0.44), (0.03, 0.03), [-0.8, -0.8, -0.8])
    fill((0.5 + turn, 0.6), (0.05, 0.04), [0.2, -0.1, -0.3])
    fill((0.5 + turn, 0.75), (0.13, 0.05), [0.3, -0.4, -0.4])
    fill((0.5 + turn, 0.75), (0.10, 0.02), [-0.8, -0.9, -0.9])
    return image[None]


def centre_of(planes: torch.Tensor, name: str) -> tuple[float, float]:
    """Mean column and row of a concept in the first image, as fractions."""
    plane = planes[0, VOCABULARY.planes.index(VOCABULARY[name].plane)]
    rows, columns = torch.nonzero(plane == VOCABULARY[name].id, as_tuple=True)
    assert len(rows), f"no pixel of {name}"
    height, width = plane.shape
    return columns.double().mean().item() / width, rows.double().mean().item() / height


class TestVocabulary:
    def test_has_an_object_plane_and_then_a_part_plane(self) -> None:
        assert VOCABULARY.planes == ("object", "part")
        assert [c.name for c in VOCABULARY.in_plane("object")] == ["person", "background"]
        assert len(VOCABULARY.in_plane("part")) == 9

    def test_gives_every_concept_a_colour_of_its_own(self) -> None:
        assert len({c.colour for c in VOCABULARY}) == len(VOCABULARY)

    def test_the_teacher_draws_every_part_and_nothing_else(self) -> None:
        assert set(POLYGONS) == {c.name for c in VOCABULARY.in_plane("part")}


class TestSegment:
    def test_follows_the_protocol(self, segmenter: faces.FacesSegmenter) -> None:
        assert isinstance(segmenter, Segmenter)

    @pytest.mark.parametrize("size", [(64, 64), (96, 80), (32, 32)])
    def test_labels_images_at_their_own_size(
        self, segmenter: faces.FacesSegmenter, size: tuple[int, int]
    ) -> None:
        planes = segmenter.segment(draw_face(height=size[0], width=size[1]))
        assert planes.shape == (1, 2, *size)
        assert planes.dtype == torch.int64

    def test_puts_only_the_concepts_of_a_plane_into_it(
        self, segmenter: faces.FacesSegmenter, noise: torch.Tensor
    ) -> None:
        planes = segmenter.segment(torch.cat([noise, draw_face()]))
        assert set(planes[:, 0].unique().tolist()) == {1, 2}
        parts = set(planes[:, 1].unique().tolist())
        assert parts <= {0, *(c.id for c in VOCABULARY.in_plane("part"))}
        assert len(parts) > 5

    def test_labels_an_image_alike_alone_and_in_a_batch(
        self, segmenter: faces.FacesSegmenter, noise: torch.Tensor
    ) -> None:
        together = segmenter.segment(noise)
        alone = torch.cat([segmenter.segment(image[None]) for image in noise])
        # Other batch sizes sum in another order: a pixel on the edge may tip.
        assert (together == alone).double().mean() >= 0.9999

    def test_finds_the_parts_of_a_drawn_face_where_they_are(
        self, segmenter: faces.FacesSegmenter
    ) -> None:
        planes = segmenter.segment(draw_face())
        left, right = (centre_of(planes, f"{side} eye") for side in ("left", "right"))
        # The person's own left is on the viewer's right.
        assert left == pytest.approx((0.64, 0.44), abs=0.06)
        assert right == pytest.approx((0.36, 0.44), abs=0.06)
        assert centre_of(planes, "left brow")[1] < left[1]
        assert left[1] < centre_of(planes, "nose")[1] < centre_of(planes, "upper lip")[1]
        assert centre_of(planes, "upper lip")[1] < centre_of(planes, "lower lip")[1]

    def test_finds_the_same_face_in_a_larger_image(self, segmenter: faces.FacesSegmenter) -> None:
        small = segmenter.segment(draw_face())
        large = segmenter.segment(draw_face(height=256, width=256))
        for name in SIDES:
            assert centre_of(large, name) == pytest.approx(centre_of(small, name), abs=0.03)

    def test_exchanges_left_and_right_in_the_mirror(self, segmenter: faces.FacesSegmenter) -> None:
        face = draw_face(turn=0.04)
        planes, mirrored = segmenter.segment(face), segmenter.segment(face.flip(-1))
        for name, other in zip(SIDES, (SIDES[1], SIDES[0], SIDES[3], SIDES[2]), strict=True):
            column, row = centre_of(planes, name)
            assert centre_of(mirrored, other) == pytest.approx((1 - column, row), abs=0.03)

    def test_gives_the_mirror_image_the_mirrored_answer_for_any_image(
        self, segmenter: faces.FacesSegmenter, noise: torch.Tensor
    ) -> None:
        planes = segmenter.segment(noise)
        back = segmenter.segment(noise.flip(-1)).flip(-1)
        ids = torch.arange(len(VOCABULARY) + 1)
        for one, other in (("left brow", "right brow"), ("left eye", "right eye")):
            ids[VOCABULARY[one].id] = VOCABULARY[other].id
            ids[VOCABULARY[other].id] = VOCABULARY[one].id
        assert (ids[back] == planes).double().mean() >= 0.9999

    def test_takes_an_empty_batch(self, segmenter: faces.FacesSegmenter) -> None:
        assert segmenter.segment(torch.zeros(0, 3, 64, 64)).shape == (0, 2, 64, 64)

    @pytest.mark.parametrize(
        ("images", "said"),
        [
            (torch.zeros(2, 1, 64, 64), r"\(2, 1, 64, 64\).*expected \(batch, 3, height, width\)"),
            (torch.zeros(3, 64, 64), r"\(3, 64, 64\).*expected \(batch, 3, height, width\)"),
            (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), r"torch.uint8.*expected torch.float32"),
            (torch.zeros(1, 3, 64, 64, device="meta"), r"on meta.*expected cpu"),
        ],
    )
    def test_refuses_what_is_no_rgb_batch_in_one_line(
        self, segmenter: faces.FacesSegmenter, images: torch.Tensor, said: str
    ) -> None:
        for method in (segmenter.segment, segmenter.score):
            with pytest.raises(SegmenterError, match=said) as caught:
                method(images)
            assert "\n" not in str(caught.value)


class TestScore:
    def test_adds_up_to_one_in_the_object_plane_and_to_less_in_the_part_plane(
        self, segmenter: faces.FacesSegmenter
    ) -> None:
        score = segmenter.score(draw_face(height=80, width=80))
        assert score.shape == (1, len(VOCABULARY), 80, 80)
        assert score.min() >= 0
        torch.testing.assert_close(score[:, :2].sum(1), torch.ones(1, 80, 80))
        parts = score[:, 2:].sum(1)
        assert parts.max() <= 1 + 1e-5
        assert parts.min() < 0.5 < parts.max()

    def test_is_highest_where_the_label_is(
        self, segmenter: faces.FacesSegmenter, noise: torch.Tensor
    ) -> None:
        planes, score = segmenter.segment(noise), segmenter.score(noise)
        assert (score[:, :2].argmax(1) + 1 == planes[:, 0]).all()
        marked = planes[:, 1] > 0
        assert (score[:, 2:].argmax(1) + 3)[marked].equal(planes[:, 1][marked])

    @pytest.mark.parametrize("size", [64, 48])
    def test_passes_a_gradient_to_the_image_it_is_of_and_to_no_other(
        self, segmenter: faces.FacesSegmenter, size: int
    ) -> None:
        images = draw_face(height=size, width=size).repeat(2, 1, 1, 1).requires_grad_()
        segmenter.score(images)[0, VOCABULARY["left eye"].id - 1].sum().backward()
        assert images.grad is not None
        assert images.grad[0].abs().sum() > 0
        assert images.grad[1].abs().sum() == 0


class TestWeights:
    def test_are_at_most_four_megabytes(self) -> None:
        assert faces.WEIGHTS.stat().st_size <= 4_000_000

    def test_have_a_card_that_is_theirs_and_measures_every_concept(
        self, segmenter: faces.FacesSegmenter
    ) -> None:
        card = faces.WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")
        assert segmenter.fingerprint in card
        for concept in VOCABULARY:
            assert re.search(rf"^\| {concept.name} \| {concept.plane} \| [01]\.\d\d \|", card, re.M)
        assert "The teacher is not the truth" in card

    def test_are_refused_when_they_are_of_other_concepts(self, tmp_path: Path) -> None:
        other = faces.describe() | {"concepts": ["nose"]}
        path = tmp_path / "other.safetensors"
        save_file(load_file(faces.WEIGHTS), path, metadata=faces.write_metadata(other))
        with pytest.raises(SegmenterError, match=r"concepts \['nose'\]; expected \['person'"):
            faces.load(weights=path)

    def test_are_refused_when_they_are_of_another_network(self, tmp_path: Path) -> None:
        path = tmp_path / "other.safetensors"
        save_file(load_file(faces.WEIGHTS), path)
        with pytest.raises(SegmenterError, match=r"architecture None; expected .*Unet"):
            faces.load(weights=path)

    def test_are_refused_when_a_tensor_is_missing(self, tmp_path: Path) -> None:
        state = load_file(faces.WEIGHTS)
        del state["segmentation_head.0.bias"]
        path = tmp_path / "short.safetensors"
        save_file(state, path, metadata=faces.write_metadata(faces.describe()))
        with pytest.raises(SegmenterError, match=r"segmentation_head.0.bias") as caught:
            faces.load(weights=path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("content", [None, b"not a safetensors file"])
    def test_that_cannot_be_read_are_told_in_one_line(
        self, tmp_path: Path, content: bytes | None
    ) -> None:
        path = tmp_path / "broken.safetensors"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SegmenterError, match=r"cannot read the face weights") as caught:
            faces.load(weights=path)
        assert "\n" not in str(caught.value)

    def test_change_the_fingerprint_when_one_of_them_changes(
        self, segmenter: faces.FacesSegmenter
    ) -> None:
        network = faces.build_network()
        state = dict(segmenter.network.state_dict())
        network.load_state_dict(state)
        assert faces.FacesSegmenter(network).fingerprint == segmenter.fingerprint
        name = next(iter(state))
        network.load_state_dict(state | {name: state[name] + 1})
        assert faces.FacesSegmenter(network).fingerprint != segmenter.fingerprint
