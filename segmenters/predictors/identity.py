"""``identity``: 128 numbers of a face, similar for images of the same person.

    identity = load_predictor("identity")
    identity_distance(identity.predict(before), identity.predict(after))

Two photographs of one person have a distance below about 0.6 (the threshold of dlib's network, on
which this one is based). It was set on photographs. On small generated faces, different samples
have smaller distances too; see the card (``dissect zoo card identity``).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from segmenters.base import hash_tensors
from segmenters.images import check_images
from segmenters.predictors.face_nets import N_DESCRIPTOR, Recognition
from segmenters.predictors.tfjs import as_state, read_tensors
from segmenters.predictors.weights import fill

NAME = "identity"
SAME_PERSON = 0.6
"""The distance below which two photographs count as the same person."""
_FILE = "face_recognition_model"


def convert(members: Mapping[str, bytes]) -> dict[str, Tensor]:
    """Tensors for ``Recognition``, from the manifest and the byte file, by name."""
    tensors = read_tensors(members[f"{_FILE}-weights_manifest.json"], members[f"{_FILE}.bin"])
    state = as_state(tensors)
    Recognition().load_state_dict(state)  # raises an error for another layout
    return state


class Identity:
    """A ``Predictor`` whose attributes are the numbers of a face's descriptor, without a unit.

    Args:
        network: Network with weights.
        device: Device to run on.
    """

    name = NAME
    attributes = tuple(f"identity {k}" for k in range(N_DESCRIPTOR))

    def __init__(self, network: Recognition, *, device: torch.device | str = "cpu") -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self.fingerprint = hash_tensors(network.state_dict(), NAME)

    def predict(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 128"]:
        """The descriptor of each face, differentiable in the images.

        Args:
            images: RGB in [-1, 1]; the face fills the image.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        check_images(images, self.device, name=self.name)
        return self.network(images)

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 128"]:
        """Equals ``predict``; see ``segmenters.features``."""
        return self.predict(images)


def identity_distance(
    first: Float[Tensor, "batch 128"], second: Float[Tensor, "batch 128"]
) -> Float[Tensor, " batch"]:
    """The Euclidean distance of descriptors, row by row.

    Example:
        >>> identity_distance(torch.zeros(1, 128), torch.ones(1, 128) / 128).tolist()
        [0.0883883461356163]
    """
    return (first - second).square().sum(dim=1).sqrt()


def load_predictor(device: torch.device | str = "cpu") -> Identity:
    """Load the predictor with the weights of the cache.

    Raises:
        SegmenterError: weights that were not downloaded, or belong to another network.
    """
    network = Recognition()
    fill(network, NAME)
    return Identity(network, device=device)
