"""Features of a sparse autoencoder that was trained on a layer's pixels, read from a file.

The file is safetensors and holds

========================  ==================  =========================
tensor                    shape               or, transposed
========================  ==================  =========================
``encoder.weight``        (feature, channel)  ``W_enc`` (channel, feature)
``encoder.bias``          (feature,)          ``b_enc``
``decoder.weight``        (channel, feature)  ``W_dec`` (feature, channel)
``decoder.bias``          (channel,)          ``b_dec``
========================  ==================  =========================

and in its metadata ``activation``: ``relu``, or ``topk`` with ``k``. Floats of any width; all
computation is in float32.

References:
    Cunningham et al., Sparse Autoencoders Find Highly Interpretable Features in Language Models,
    ICLR 2024, section 2.
    Gao et al., Scaling and Evaluating Sparse Autoencoders, 2024, section 2.3 (top-k).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dissect.bases.base import mix, per_unit
from dissect.errors import CheckpointError
from dissect.generators.checkpoint import Checkpoint, read
from segmenters.base import hash_tensors

SUFFIX = ".safetensors"
_ACTIVATIONS = ("relu", "topk")
_OTHER_NAMES = {
    "encoder.weight": "W_enc",
    "encoder.bias": "b_enc",
    "decoder.weight": "W_dec",
    "decoder.bias": "b_dec",
}


@dataclass(frozen=True, eq=False)
class SparseAutoencoder:
    """Units f = act(W_e (x - b_d) + b_e), and back x̂ = W_d f + b_d.

    Args:
        name: Name such as ``sae:conv1.safetensors``.
        encoder_weight: W_e.
        encoder_bias: b_e.
        decoder_weight: W_d.
        decoder_bias: b_d, subtracted before encoding.
        top_k: Number of largest features kept at each pixel; None keeps all above 0 (ReLU).
    """

    name: str
    encoder_weight: Float[Tensor, "unit channel"]
    encoder_bias: Float[Tensor, " unit"]
    decoder_weight: Float[Tensor, "channel unit"]
    decoder_bias: Float[Tensor, " channel"]
    top_k: int | None = None

    exact = False

    @property
    def n_channels(self) -> int:
        return self.encoder_weight.shape[1]

    @property
    def n_units(self) -> int:
        return self.encoder_weight.shape[0]

    @property
    def fingerprint(self) -> str:
        return hash_tensors(self.to_tensors(), "sae")

    def encode(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch unit height width"]:
        """f = act(W_e (x - b_d) + b_e)."""
        centred = maps.float() - per_unit(self.decoder_bias, maps)
        features = mix(self.encoder_weight, centred).add_(per_unit(self.encoder_bias, maps)).relu_()
        if self.top_k is None:
            return features
        kept = features.topk(self.top_k, dim=1)
        return torch.zeros_like(features).scatter_(1, kept.indices, kept.values)

    def decode(
        self, features: Float[Tensor, "batch unit height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """x̂ = W_d f + b_d."""
        return mix(self.decoder_weight, features) + per_unit(self.decoder_bias, features)

    def to_tensors(self) -> dict[str, Tensor]:
        """The four tensors, and ``top_k``; 0 means ReLU."""
        return {
            "encoder_weight": self.encoder_weight,
            "encoder_bias": self.encoder_bias,
            "decoder_weight": self.decoder_weight,
            "decoder_bias": self.decoder_bias,
            "top_k": torch.tensor(self.top_k or 0),
        }

    @classmethod
    def from_tensors(cls, name: str, tensors: dict[str, Tensor]) -> "SparseAutoencoder":
        """The inverse of ``to_tensors``."""
        weights = {key: value for key, value in tensors.items() if key != "top_k"}
        return cls(name, **weights, top_k=int(tensors["top_k"]) or None)


def read_autoencoder(
    name: str, path: str | Path, *, layer: str, n_channels: int
) -> SparseAutoencoder:
    """Read a sparse autoencoder for a layer; see the module docstring.

    Args:
        name: Name of the basis.
        path: A safetensors file.
        layer: Its layer.
        n_channels: Channels of that layer.

    Raises:
        CheckpointError: a file that is missing, damaged or no safetensors; tensors that are
            missing, unknown, not finite or do not fit each other or the layer; an unknown
            activation.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise CheckpointError(
            f"{path} was given as a sparse autoencoder; expected a {SUFFIX} file; save its tensors "
            "with safetensors"
        )
    checkpoint = read(path)
    names = _find_names(checkpoint)
    biases = checkpoint.tensors[names["encoder.bias"]]
    n_units = len(biases) if biases.ndim == 1 else None
    shapes = {
        "encoder.weight": (n_units, n_channels),
        "encoder.bias": (n_units,),
        "decoder.weight": (n_channels, n_units),
        "decoder.bias": (n_channels,),
    }
    values = []
    for key, shape in shapes.items():
        transposed = names[key] != key  # a transposed bias is the same
        value = checkpoint.tensors[names[key]]
        expected = shape[::-1] if transposed else shape
        if tuple(value.shape) != expected:
            wanted = ", ".join("feature" if n is None else str(n) for n in expected)
            raise CheckpointError(
                f"{path}: {names[key]} has the shape {tuple(value.shape)}; expected ({wanted}), "
                f"since layer {layer!r} has {n_channels} channels and {names['encoder.bias']} the "
                f"shape {tuple(biases.shape)}; give the autoencoder of this layer"
            )
        if not value.is_floating_point() or not torch.isfinite(value).all():
            raise CheckpointError(
                f"{path}: {names[key]} ({value.dtype}) holds something else than finite floats; "
                "get the file again"
            )
        values.append((value.T if transposed and value.ndim == 2 else value).float().contiguous())
    return SparseAutoencoder(name, *values, top_k=_read_top_k(checkpoint, len(biases)))


def _find_names(checkpoint: Checkpoint) -> dict[str, str]:
    """First name of each tensor → its name in the file."""
    names: dict[str, str] = {}
    for key, other in _OTHER_NAMES.items():
        present = [name for name in (key, other) if name in checkpoint.tensors]
        if not present:
            raise CheckpointError(
                f"{checkpoint.path} has no tensor {key!r} (or {other!r}); expected "
                f"{', '.join(_OTHER_NAMES)}; save the autoencoder under these names"
            )
        names[key] = present[0]
    extra = set(checkpoint.tensors) - set(names.values())
    if extra:
        # An ignored threshold or scale would change the features.
        raise CheckpointError(
            f"{checkpoint.path} also holds {min(extra)!r}; expected only "
            f"{', '.join(_OTHER_NAMES)}; fold it into them, or leave it out if it does nothing"
        )
    return names


def _read_top_k(checkpoint: Checkpoint, n_units: int) -> int | None:
    activation = checkpoint.attributes.get("activation")
    if activation not in _ACTIVATIONS:
        given = "no activation" if activation is None else f"the activation {activation!r}"
        raise CheckpointError(
            f"{checkpoint.path} has {given} in its metadata; expected 'relu', or 'topk' with k; "
            "save it with the one it was trained with"
        )
    if activation == "relu":
        return None
    k = str(checkpoint.attributes.get("k", ""))
    if not (k.isascii() and k.isdecimal() and 1 <= int(k) <= n_units):
        raise CheckpointError(
            f"{checkpoint.path} has the activation 'topk' with k {k!r} in its metadata; expected a "
            f"whole number from 1 to {n_units}, its number of features"
        )
    return int(k)
