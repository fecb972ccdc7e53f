"""Opens bases: from specs, if no pass is needed, or from the tensors in a run."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from torch import Tensor

from dissect.bases.base import Basis
from dissect.bases.mixture import KIND as MIXTURES
from dissect.bases.mixture import Mixture
from dissect.bases.pca import PrincipalComponents
from dissect.bases.rotation import Rotation
from dissect.bases.sae import SparseAutoencoder, read_autoencoder
from dissect.bases.spec import BasisSpec, LayerSpec
from dissect.errors import ConfigError
from dissect.generators.base import Generator, LayerInfo


def open_bases(generator: Generator, layers: Iterable[LayerSpec]) -> dict[str, Basis]:
    """Create or read the bases that need no pass, and check the others.

    Args:
        generator: Generator of the layers.
        layers: The layers and their bases.

    Returns:
        ``layer@basis`` → its basis, for rotations and sparse autoencoders.

    Raises:
        ConfigError: more components than a layer has channels.
        CheckpointError: a file without a sparse autoencoder for its layer.

    Example:
        >>> layer = LayerSpec.parse("units@rotation:0", generator.layers)
        >>> list(open_bases(generator, [layer]))
        ['units@rotation:0']
    """
    opened: dict[str, Basis] = {}
    for spec in layers:
        layer, basis = spec.layer, spec.basis
        if basis is None:
            continue
        n_channels = generator.layers[layer].units
        if basis.kind == MIXTURES:
            opened[str(spec)] = Mixture.draw(basis.number, n_channels=n_channels)
        elif basis.kind == "rotation":
            opened[str(spec)] = Rotation.draw(str(basis), seed=basis.number, n_channels=n_channels)
        elif basis.kind == "sae":
            opened[str(spec)] = read_autoencoder(
                str(basis), basis.argument, layer=layer, n_channels=n_channels
            )
        elif basis.number > n_channels:
            raise ConfigError(
                f"{str(spec)!r} asks for {basis.number} components; expected at most {n_channels}, "
                f"the number of channels of {layer!r}; give {layer}@pca:{n_channels} or fewer"
            )
    return opened


def read_file_contents(opened: Mapping[str, Basis]) -> dict[str, str]:
    """Fingerprints of the bases that were read from files, whose contents can change."""
    return {
        text: basis.fingerprint
        for text, basis in opened.items()
        if isinstance(basis, SparseAutoencoder)
    }


def rebuild_basis(name: str, tensors: Mapping[str, Tensor]) -> Basis:
    """Rebuild a basis from its stored ``name`` and the result of ``to_tensors``.

    Raises:
        ConfigError: a name of an unknown basis.
    """
    if name.startswith(f"{MIXTURES}:"):
        return Mixture(name, **tensors)
    kind = BasisSpec.parse(name).kind
    if kind == "rotation":
        return Rotation(name, **tensors)
    if kind == "pca":
        return PrincipalComponents(name, **tensors)
    return SparseAutoencoder.from_tensors(name, dict(tensors))


def layer_info(
    generator: Generator, layer: LayerSpec | str, bases: Mapping[str, Basis]
) -> LayerInfo:
    """Units and size of a layer in its basis, given as a spec or as ``layer@basis``.

    Example:
        >>> layer_info(generator, "units", {}).units
        9
    """
    spec = LayerSpec.parse(layer, generator.layers) if isinstance(layer, str) else layer
    info, basis = generator.layers[spec.layer], bases.get(str(layer))
    return info if basis is None else replace(info, units=basis.n_units, unit_names=())
