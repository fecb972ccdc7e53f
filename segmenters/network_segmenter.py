"""Networks of other libraries as segmenters: converts their output to planes and scores.

``smp_models``, ``torchvision_models`` and ``transformers_models`` each build one.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from segmenters.base import hash_tensors
from segmenters.class_names import Classes
from segmenters.errors import SegmenterError
from segmenters.images import check_images, resize
from segmenters.notebook import ShownSegmenter
from segmenters.reading import Reading, average_tiles
from segmenters.vocabulary import Vocabulary

Forward = Callable[[Float[Tensor, "1 3 rows columns"]], Float[Tensor, "1 class rows columns"]]
"""The network's output for an image of a supported size: one map per class, of any size."""

Label = Callable[
    [Float[Tensor, "1 3 rows columns"], tuple[int, int]], Int[Tensor, "1 height width"]
]
"""The class of each pixel at a size, −1 for none; for networks whose labels are not an argmax."""

MEANINGS = ("logits", "shares", "binary", "probabilities")


class NetworkSegmenter(ShownSegmenter):
    """A network with its preprocessing and the names of its classes; a ``Segmenter``.

    Images are read one at a time, so that on a CPU a label has the same bits in any batch.

    Args:
        name: Name for ``load_segmenter``.
        network: Put into eval mode, frozen and moved to the device.
        forward: Calls the network on an image prepared by ``reading``.
        classes: Names of its classes.
        reading: Preprocessing of an image.
        meaning: Kind of output: ``logits``, whose softmax gives probabilities of mutually
            exclusive classes; ``shares``, non-negative numbers of such classes; ``binary``, one
            logit, above 0 for the class; ``probabilities``, one per class, not exclusive: each
            class gets a plane.
        device: Device to run on.
        settings: Further settings that affect its results, for the fingerprint.
        label: Finds the classes, if not by argmax.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        forward: Forward,
        classes: Classes,
        reading: Reading,
        *,
        meaning: str = "logits",
        device: torch.device | str = "cpu",
        settings: object = None,
        label: Label | None = None,
    ) -> None:
        assert meaning in MEANINGS
        self.name, self.reading, self.meaning = name, reading, meaning
        self.device = torch.device(device)
        self.vocabulary = classes.vocabulary
        if meaning == "probabilities":
            self.vocabulary = one_plane_each(classes)
        self.network = network.eval().requires_grad_(False).to(self.device)
        self._run, self._label = forward, label
        self._ids = classes.ids.to(self.device)
        self._marked = self._ids.nonzero().flatten()
        self.fingerprint = hash_tensors(
            network.state_dict(), type(network).__name__, classes.rows, classes.plane, reading,
            meaning, settings,
        )  # fmt: skip

    @torch.no_grad()
    def segment(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Int[Tensor, "batch plane height width"]:
        """Label every pixel with its most likely class; see ``segmenters.Segmenter.segment``.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        check_images(images, self.device, name=self.name)
        planes = [self._planes(image[None]) for image in images]
        if not planes:
            return self._ids.new_zeros(0, len(self.vocabulary.planes), *images.shape[2:])
        return torch.cat(planes)

    def score(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch concept height width"]:
        """Probability of each concept at each pixel, differentiable in the images.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        check_images(images, self.device, name=self.name)
        scores = [self._scores(image[None]) for image in images]
        if not scores:
            return images.new_zeros(0, len(self.vocabulary), *images.shape[2:])
        return torch.cat(scores)

    def _planes(self, image: Float[Tensor, "1 3 height width"]) -> Int[Tensor, "1 p height width"]:
        size = (image.shape[-2], image.shape[-1])
        if self._label is not None:
            found = self._label(self.reading.read(image), size)
            return torch.where(found >= 0, self._ids[found.clamp(min=0)], 0)[:, None]
        output = self._output(image)
        if self.meaning == "binary":
            return (output > 0).long()
        if self.meaning == "probabilities":
            return (output[:, self._marked] > 0.5).long() * self._ids[self._marked][:, None, None]
        return self._ids[output.argmax(dim=1)][:, None]

    def _scores(self, image: Float[Tensor, "1 3 height width"]) -> Float[Tensor, "1 c h w"]:
        output = self._output(image)
        if self.meaning == "logits":
            output = output.softmax(dim=1)
        elif self.meaning == "binary":
            output = output.sigmoid()
        elif self.meaning == "shares":
            # Their sum can exceed 1 where queries overlap; division keeps their order.
            output = output / output.sum(dim=1, keepdim=True).clamp(min=1)
        return output[:, self._marked].clamp(0, 1)

    def _forward(self, read: Float[Tensor, "1 3 rows columns"]) -> Float[Tensor, "1 k r c"]:
        try:
            return self._run(read)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError) as error:
            height, width = read.shape[-2:]
            raise SegmenterError(
                f"{self.name} can't read an image at {height} × {width} pixels "
                f"({' '.join(str(error).split())[:120]}); expected a size that its network takes; "
                "give one with size= where it has that option"
            ) from error

    def _output(self, image: Float[Tensor, "1 3 height width"]) -> Float[Tensor, "1 k h w"]:
        size = (image.shape[-2], image.shape[-1])
        cut = self.reading.cut(*size)
        if cut is None:
            return resize(self._forward(self.reading.read(image)), size)
        scaled, corners = cut
        height, width = self.reading.size or scaled
        read = self.reading.scale(self.reading.bring(image, scaled))
        outputs = [
            resize(
                self._forward(read[:, :, top : top + height, left : left + width]), (height, width)
            )
            for top, left in corners
        ]
        return resize(average_tiles(outputs, corners, scaled), size)


def one_plane_each(classes: Classes) -> Vocabulary:
    """The vocabulary of classes that are not exclusive at a pixel."""
    rows = [row for row in classes.rows if row is not None]
    return Vocabulary.build([(r[0], r[1], f"{classes.plane} {r[0]}", r[2]) for r in rows])
