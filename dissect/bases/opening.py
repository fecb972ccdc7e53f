"""From specs to bases: those that need no pass, and all of them again from what a run stored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from dissect.bases.base import Basis
from dissect.bases.pca import PrincipalComponents
from dissect.bases.rotation import Rotation
from dissect.bases.sae import SparseAutoencoder, read_autoencoder
from dissect.bases.spec import BasisSpec, split_layer
from dissect.errors import ConfigError
from dissect.generators.base import Generator, LayerInfo


def open_bases(generator: Generator, layers: Sequence[str]) -> dict[str, Basis]:
    """Make or read the bases that need no pass, and check those that do.

    Args:
        generator: Whose layers they are.
        layers: Resolved specs, ``layer`` or ``layer@basis``.

    Returns:
        Spec → its basis, for rotations and sparse autoencoders.

    Raises:
        ConfigError: more components than a layer has channels.
        CheckpointError: a file that holds no sparse autoencoder for its layer.
    """
    opened: dict[str, Basis] = {}
    for text in layers:
        layer, basis = split_layer(text, generator.layers)
        if basis is None:
            continue
        spec = BasisSpec.parse(basis)
        n_channels = generator.layers[layer].units
        if spec.kind == "rotation":
            opened[text] = Rotation.draw(basis, seed=spec.number, n_channels=n_channels)
        elif spec.kind == "sae":
            opened[text] = read_autoencoder(
                basis, spec.argument, layer=layer, n_channels=n_channels
            )
        elif spec.number > n_channels:
            raise ConfigError(
                f"{text!r} asks for {spec.number} components; expected at most {n_channels}, the "
                f"number of channels of {layer!r}; give {layer}@pca:{n_channels} or fewer"
            )
    return opened


def read_file_contents(opened: Mapping[str, Basis]) -> dict[str, str]:
    """Fingerprints of the bases that came from a file, which another content may replace."""
    return {
        text: basis.fingerprint
        for text, basis in opened.items()
        if isinstance(basis, SparseAutoencoder)
    }


def rebuild_basis(name: str, tensors: Mapping[str, Tensor]) -> Basis:
    """The basis of which ``name`` and ``to_tensors`` were stored.

    Raises:
        ConfigError: a name of no known basis.
    """
    kind = BasisSpec.parse(name).kind
    if kind == "rotation":
        return Rotation(name, **tensors)
    if kind == "pca":
        return PrincipalComponents(name, **tensors)
    return SparseAutoencoder.from_tensors(name, dict(tensors))


def layer_info(generator: Generator, text: str, bases: Mapping[str, Basis]) -> LayerInfo:
    """Units and size of ``layer`` or ``layer@basis``."""
    info = generator.layers[split_layer(text, generator.layers)[0]]
    return replace(info, units=bases[text].n_units) if text in bases else info
