"""Syntax of a layer in another basis: ``layer@basis``.

====================================  ===========================================
``b16.conv1``                         its channels
``b16.conv1@rotation:0``              a random rotation of them, by seed
``b16.conv1@pca:64``                  the 64 principal components of its pixels
``b16.conv1@sae:conv1.safetensors``   the features of a sparse autoencoder
====================================  ===========================================
"""

from collections.abc import Collection
from dataclasses import dataclass

from dissect.errors import ConfigError
from segmenters.nearest import did_you_mean

MARK = "@"
FORMS = {"rotation": "rotation:SEED", "pca": "pca:COMPONENTS", "sae": "sae:FILE.safetensors"}
_LEAST = {"rotation": 0, "pca": 1}
_LIMIT = 2**64


@dataclass(frozen=True)
class BasisSpec:
    """A reference to a basis.

    Attributes:
        kind: ``rotation``, ``pca`` or ``sae``.
        argument: Seed, number of components, or file.

    Example:
        >>> BasisSpec.parse("rotation:0").kind
        'rotation'
    """

    kind: str
    argument: str

    @classmethod
    def parse(cls, text: str) -> "BasisSpec":
        """Parse the text after the @; a path may contain any character, including @ and :.

        Raises:
            ConfigError: an unknown basis, or one with an invalid argument.

        Example:
            >>> BasisSpec.parse("pca:064").number
            64
        """
        kind, _, argument = text.partition(":")
        if kind not in FORMS:
            hint = did_you_mean(kind, FORMS)
            raise ConfigError(f"basis {text!r} is unknown; {hint}expected {_list_forms()}")
        if kind not in _LEAST:
            if not argument:
                raise ConfigError(f"basis {text!r} names no file; expected {FORMS[kind]}")
            return cls(kind, argument)
        least = _LEAST[kind]
        if not (argument.isascii() and argument.isdecimal() and least <= int(argument) < _LIMIT):
            raise ConfigError(
                f"basis {text!r} has {argument!r} behind the colon; expected {FORMS[kind]}, a "
                f"whole number of at least {least}, such as {kind}:{max(least * 64, least)}"
            )
        return cls(kind, str(int(argument)))

    @property
    def number(self) -> int:
        """The seed or the number of components."""
        return int(self.argument)

    def __str__(self) -> str:
        return f"{self.kind}:{self.argument}"


@dataclass(frozen=True)
class LayerSpec:
    """A layer and the basis in which its units are read, written ``layer`` or ``layer@basis``.

    Attributes:
        layer: Name of the generator's layer.
        basis: The basis; None for the layer's channels.

    Example:
        >>> str(LayerSpec.parse("units@rotation:0", ["units"]))
        'units@rotation:0'
    """

    layer: str
    basis: BasisSpec | None = None

    @classmethod
    def parse(cls, text: str, layers: Collection[str]) -> "LayerSpec":
        """Parse a spec: the basis follows the first @ after a layer's name.

        Args:
            text: ``layer`` or ``layer@basis``.
            layers: Names of layers, which may contain an @. The name in ``text`` need not be
                among them.

        Raises:
            ConfigError: an unknown basis, or one with an invalid argument.

        Example:
            >>> LayerSpec.parse("main.1@sae:a@b.safetensors", ["main.1"]).layer
            'main.1'
        """
        if text in layers or MARK not in text:
            return cls(text)
        parts = text.split(MARK)
        for n_parts in range(1, len(parts)):
            if MARK.join(parts[:n_parts]) in layers:
                break
        else:
            n_parts = 1
        return cls(MARK.join(parts[:n_parts]), BasisSpec.parse(MARK.join(parts[n_parts:])))

    @classmethod
    def of_basis(cls, text: str) -> "LayerSpec":
        """Parse a spec that must name a basis: at the first @ that a valid basis follows.

        Args:
            text: ``layer@basis``; the layer's name may contain an @.

        Raises:
            ConfigError: no valid basis after any @.
        """
        parts = text.split(MARK)
        for n_parts in range(1, len(parts)):
            try:
                basis = BasisSpec.parse(MARK.join(parts[n_parts:]))
            except ConfigError:
                continue
            return cls(MARK.join(parts[:n_parts]), basis)
        raise ConfigError(f"{text!r} names no basis; expected layer@basis")

    def __str__(self) -> str:
        return self.layer if self.basis is None else f"{self.layer}{MARK}{self.basis}"


def _list_forms() -> str:
    *most, last = FORMS.values()
    return f"{', '.join(most)} or {last}"
