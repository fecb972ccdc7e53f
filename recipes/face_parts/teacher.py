"""The teacher: MediaPipe's face mesh and selfie mask, converted to label planes.

The mesh gives 478 points on a face; polygons through some of them outline its parts. The selfie
mask marks the person. Both models expect larger images than the generator's. So an image is
enlarged four times and padded with its own border pixels; without padding the mesh misses faces
that touch the edge.

Labels are drawn at 512 × 512 and reduced to 64 × 64 by majority: a pixel gets the label that covers
most of it.

References:
    Kartynnik et al., Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs, 2019.
"""

import importlib.metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmenters.faces import INPUT_SIZE, VOCABULARY

VERSION = 1
"""Increase it whenever labels of the same image could change, to invalidate cached labels."""

_ENLARGED = 4 * INPUT_SIZE
_FRAME = INPUT_SIZE
_DRAWN = 8 * INPUT_SIZE
_FIXED_POINT_BITS = 4

# Indices of mesh points. Left and right are from the person's view.
_OVAL = (
    10, 109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148,
    152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356, 389, 251, 284, 332, 297, 338,
)  # fmt: skip
_NOSE = (168, 193, 188, 174, 217, 209, 129, 98, 97, 2, 326, 327, 358, 429, 437, 399, 412, 417)
_UPPER_LIP_TOP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_UPPER_LIP_BOTTOM = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_LOWER_LIP_TOP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
_LOWER_LIP_BOTTOM = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)

# In drawing order: later polygons cover earlier ones.
POLYGONS: dict[str, tuple[int, ...]] = {
    "skin": _OVAL,
    "nose": _NOSE,
    "upper lip": _UPPER_LIP_TOP + _UPPER_LIP_BOTTOM[::-1],
    "lower lip": _LOWER_LIP_TOP + _LOWER_LIP_BOTTOM[::-1],
    "mouth inside": _UPPER_LIP_BOTTOM + _LOWER_LIP_TOP[::-1],
    "left brow": (276, 283, 282, 295, 285, 336, 296, 334, 293, 300),
    "right brow": (46, 53, 52, 65, 55, 107, 66, 105, 63, 70),
    "left eye": (249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 263),
    "right eye": (7, 33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163),
}


class Teacher:
    """Labels single images; needs the extra ``faces-teacher``.

    Raises:
        ImportError: MediaPipe is not installed.
    """

    def __init__(self) -> None:
        try:
            import cv2  # noqa: PLC0415 -- here, so that the rest of the recipe needs no MediaPipe
            import mediapipe  # noqa: PLC0415
        except ImportError as error:
            raise ImportError(
                "the teacher needs mediapipe, which is not installed; "
                "install it with pip install 'gan-dissection[faces-teacher]'"
            ) from error
        self.name = f"MediaPipe {importlib.metadata.version('mediapipe')}"
        self._cv2 = cv2
        solutions: Any = mediapipe.solutions
        self._mesh = solutions.face_mesh.FaceMesh(
            static_image_mode=True,  # every image separately: no tracking from the previous one
            refine_landmarks=True,
            max_num_faces=1,
            min_detection_confidence=0.3,
        )
        self._selfie = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)

    def label(self, image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """Label one image.

        Args:
            image: ``64 64 3``, RGB bytes.

        Returns:
            Concept ids, ``2 64 64``: object plane, part plane; None where no face is found.
        """
        cv2 = self._cv2
        large = cv2.resize(image, (_ENLARGED, _ENLARGED), interpolation=cv2.INTER_CUBIC)
        framed = cv2.copyMakeBorder(large, *[_FRAME] * 4, cv2.BORDER_REPLICATE)
        faces = self._mesh.process(framed).multi_face_landmarks
        if not faces:
            return None
        points = np.array([(point.x, point.y) for point in faces[0].landmark])
        parts = self._draw(points * len(framed) - _FRAME)
        return np.stack([self._find_person(large, framed), parts])

    def _draw(self, points: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Fill the polygons; ``points`` are in pixels of the enlarged image, from its corner."""
        canvas = np.zeros((_DRAWN, _DRAWN), np.uint8)
        # OpenCV counts from the centre of the first pixel, the mesh from its corner.
        corners = points * (_DRAWN / _ENLARGED) - 0.5
        fixed = np.round(corners * 2**_FIXED_POINT_BITS).astype(np.int32)
        for name, polygon in POLYGONS.items():
            self._cv2.fillPoly(
                canvas, [fixed[list(polygon)]], VOCABULARY[name].id, shift=_FIXED_POINT_BITS
            )
        ids = np.array([0, *(VOCABULARY[name].id for name in POLYGONS)], np.uint8)
        coverage = np.stack([_reduce(canvas == concept) for concept in ids])
        return ids[coverage.argmax(axis=0)]

    def _find_person(
        self, large: NDArray[np.uint8], framed: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """The mean of two views, plain and mirrored with padding: each alone leaves gaps."""
        plain = self._selfie.process(large).segmentation_mask
        mirrored = self._selfie.process(np.ascontiguousarray(framed[:, ::-1])).segmentation_mask
        inner = slice(_FRAME, -_FRAME)
        mask = _reduce((plain + mirrored[:, ::-1][inner, inner]) / 2)
        person, background = VOCABULARY["person"].id, VOCABULARY["background"].id
        return np.where(mask > 0.5, person, background).astype(np.uint8)


def _reduce(values: NDArray[Any]) -> NDArray[np.float64]:
    """Mean over the larger pixels that form one pixel of 64 × 64."""
    step = len(values) // INPUT_SIZE
    return values.reshape(INPUT_SIZE, step, INPUT_SIZE, step).mean(axis=(1, 3))
