"""``faces-attributes``: attributes of a face, predicted by three small networks.

=============================  ====================================================================
attribute                      unit
=============================  ====================================================================
``age``                        years
``gender``                     log-odds: log(p / (1 − p)) of male, of two classes
``neutral`` … ``surprised``    log-odds of each of the seven expressions
``yaw``                        (nose − left jaw − (right jaw − nose)) / (right jaw − left jaw), x
``pitch``                      (nose − eyes − (chin − nose)) / (chin − eyes), y
=============================  ====================================================================

Yaw and pitch come from the 68 landmarks: nose 30, jaw 0 and 16, chin 8, eyes the mean of 36 to 47;
left is the image's left. Both are 0 with the nose in the middle, and ±1 with it at an end. They
grow as the face turns to the image's right, or down. The networks give log-odds because most
probabilities are close to 0 or 1. The card (``weights/faces-attributes.md``) lists known errors of
the networks.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segmenters.base import hash_tensors
from segmenters.images import check_images
from segmenters.predictors.face_nets import EXPRESSIONS, AgeGender, Expressions, Landmarks
from segmenters.predictors.tfjs import as_state, read_tensors
from segmenters.predictors.weights import fill

NAME = "faces-attributes"
_NOSE, _LEFT, _RIGHT, _CHIN, _EYES = 30, 0, 16, 8, slice(36, 48)
_MANIFESTS = {
    "age_gender": "age_gender_model",
    "expressions": "face_expression_model",
    "landmarks": "face_landmark_68_model",
}


def build_networks() -> nn.ModuleDict:
    """The three networks, without weights."""
    return nn.ModuleDict(
        {"age_gender": AgeGender(), "expressions": Expressions(), "landmarks": Landmarks()}
    )


def convert(members: Mapping[str, bytes]) -> dict[str, Tensor]:
    """Tensors for ``build_networks``, from the manifests and byte files, by name."""
    state: dict[str, Tensor] = {}
    for network, file in _MANIFESTS.items():
        tensors = read_tensors(members[f"{file}-weights_manifest.json"], members[f"{file}.bin"])
        state |= {f"{network}.{name}": value for name, value in as_state(tensors).items()}
    build_networks().load_state_dict(state)  # raises an error for another layout
    return state


class FacesAttributes:
    """A ``Predictor``; see the module docstring.

    Args:
        networks: ``build_networks`` with weights.
        device: Device to run on.
    """

    name = NAME
    attributes = ("age", "gender", *EXPRESSIONS, "yaw", "pitch")

    def __init__(self, networks: nn.ModuleDict, *, device: torch.device | str = "cpu") -> None:
        self.networks = networks.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self.fingerprint = hash_tensors(networks.state_dict(), self.attributes)

    def predict(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch attribute"]:
        """The attributes of each face, differentiable in the images.

        Args:
            images: RGB in [-1, 1]; the face fills the image.

        Raises:
            SegmenterError: images of a wrong shape, type or device.
        """
        check_images(images, self.device, name=self.name)
        age, gender = self.networks["age_gender"](images)
        expressions = self.networks["expressions"](images)
        turns = head_pose(self.landmarks(images))
        columns = [age[:, None], gender[:, :1] - gender[:, 1:], log_odds(expressions), turns]
        return torch.cat(columns, dim=1)

    def landmarks(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 68 2"]:
        """68 points (x, y), fractions of the image's sides, differentiable in the images."""
        return self.networks["landmarks"](images)


def log_odds(logits: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
    """log(p / (1 − p)) of the softmax p: a logit minus the log-sum-exp of the others.

    Example:
        >>> log_odds(torch.tensor([[1.0, 0.0]])).tolist()
        [[1.0, -1.0]]
    """
    others = logits[:, None, :].expand(-1, logits.shape[1], -1)
    own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    return logits - others.masked_fill(own, -torch.inf).logsumexp(dim=2)


def head_pose(points: Float[Tensor, "batch 68 2"]) -> Float[Tensor, "batch 2"]:
    """Yaw and pitch; see the module docstring."""
    x, y = points.unbind(dim=2)
    left, right, nose = x[:, _LEFT], x[:, _RIGHT], x[:, _NOSE]
    yaw = (2 * nose - left - right) / (right - left)
    eyes, chin, tip = y[:, _EYES].mean(dim=1), y[:, _CHIN], y[:, _NOSE]
    pitch = (2 * tip - eyes - chin) / (chin - eyes)
    return torch.stack([yaw, pitch], dim=1)


def load_predictor(device: torch.device | str = "cpu") -> FacesAttributes:
    """Load the predictor with the weights of the cache.

    Raises:
        SegmenterError: weights that were not downloaded, or belong to another network.
    """
    networks = build_networks()
    fill(networks, NAME)
    return FacesAttributes(networks, device=device)
