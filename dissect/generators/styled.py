"""Generators with a mapping: z → w → w+ → s → image, for any use of a style in the layers.

A family gives a network with these steps; this module gives it the ``Generator`` protocol. The
synthesis reads only s, so an edit in any space follows the same path.

Where the mapping ends in a leaky ReLU, p and p+ are w and w+ before it, up to the gain behind it:
with slope a, p = w where w > 0 and w / a elsewhere, one to one. Samples are closer to normal there.

A conversion back exists from w+ to w, and from p+ to p, if all layers are equal, and from s to w+
if the styles determine w+: s is an affine function of w+, so w+ is the solution of a linear system,
checked against s. There is no conversion back to z; that is inversion.

References:
    Zhu et al., Improved StyleGAN Embedding: Where are the Good Latents?, 2020, section 3.2 (P).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import GeneratorError, LayerError
from dissect.generators.base import (
    Generator,
    LayerInfo,
    Space,
    check_conversion,
    sample_normal,
)
from dissect.generators.labels import class_vectors
from dissect.generators.notebook import ShownGenerator
from dissect.latents import Latent, standard_normal, uniform_labels

if TYPE_CHECKING:
    from dissect.generators.weights import Source

NOISES = ("const", "none", "random")
_BEFORE_SLOPE = {"p": "w", "p+": "w+"}
_SAME = 1e-3  # relative tolerance, by the largest value, for equal float32 styles
_MEAN_SAMPLES, _MEAN_SEED, _MEAN_BLOCK = 10_000, 0, 1000


class StyledNetwork(nn.Module, ABC):
    """A network with a mapping: the steps between the spaces.

    Args:
        n_ws: Number of layers of w+.
    """

    def __init__(self, n_ws: int) -> None:
        super().__init__()
        self.n_ws = n_ws

    @property
    def w_avg(self) -> Float[Tensor, " w"] | None:
        """Mean of w, if the file has one."""
        return None

    @property
    def mapping_slope(self) -> float | None:
        """Slope of the leaky ReLU at the end of the mapping; None if it has none."""
        return None

    @abstractmethod
    def map_z(
        self, z: Float[Tensor, "batch z"], classes: Float[Tensor, "batch n_classes"] | None
    ) -> Float[Tensor, "batch w"]:
        """z, and a weight of each class, to w."""

    @abstractmethod
    def styles(self, ws: Float[Tensor, "batch layer w"]) -> dict[str, Tensor]:
        """Each layer's style (batch × its length), in the order of s."""

    @abstractmethod
    def draw(
        self, styles: Mapping[str, Tensor], *, noise: Any
    ) -> Float[Tensor, "batch rgb size size"]:
        """Images of styles.

        Args:
            styles: See ``styles``.
            noise: One of ``NOISES``, or maps if the family accepts them.
        """


@runtime_checkable
class HasStyles(Protocol):
    """A generator whose layers are controlled by styles, each an affine function of w.

    Attributes:
        style_slices: Style layer → its slice of s.
    """

    @property
    def style_slices(self) -> Mapping[str, slice]: ...

    def style_weight(self, layer: str) -> Float[Tensor, "style w"]:
        """Matrix A with style(w) = A w + b, if every layer of w+ is w.

        SeFa takes its directions from A (Shen and Zhou, CVPR 2021, equation 5).
        """
        ...


class GeneratorWithStyles(Generator, HasStyles, Protocol):
    """Both protocols."""


class StyledGenerator(ShownGenerator):
    """The ``Generator`` protocol over a ``StyledNetwork``.

    Args:
        module: The network, in eval mode and frozen.
        name: Name shown to people.
        layers: Its layers.
        image_size, channels, n_classes: As in the protocol.
        z_size, w_size: Lengths of z and w.
        fingerprint: SHA-256 over its tensors.
        takes_noise_maps: Whether ``noise`` may also be a tensor.
    """

    not_editable: str | None = None
    source: "Source"  # origin of a file's weights; set by ``families``

    def __init__(
        self,
        module: StyledNetwork,
        *,
        name: str,
        layers: Mapping[str, LayerInfo],
        image_size: int,
        channels: int,
        n_classes: int,
        z_size: int,
        w_size: int,
        fingerprint: str,
        takes_noise_maps: bool = False,
    ) -> None:
        self.module, self.name, self.layers = module, name, dict(layers)
        self.family = type(self).__name__
        self.image_size, self.channels, self.n_classes = image_size, channels, n_classes
        self.fingerprint, self.takes_noise_maps = fingerprint, takes_noise_maps
        lengths = {
            layer: style.shape[1]
            for layer, style in module.styles(
                torch.zeros(1, module.n_ws, w_size, device=self.device)
            ).items()
        }
        self.style_slices, start = {}, 0
        for layer, length in lengths.items():
            self.style_slices[layer] = slice(start, start + length)
            start += length
        shapes = {
            "z": (z_size,),
            "p": (w_size,),
            "w": (w_size,),
            "p+": (module.n_ws, w_size),
            "w+": (module.n_ws, w_size),
            "s": (start,),
        }
        self.spaces = {
            name: Space(name, shape)
            for name, shape in shapes.items()
            if module.mapping_slope is not None or name not in _BEFORE_SLOPE
        }
        self._mean: Tensor | None = module.w_avg

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def mean_w(self) -> Float[Tensor, " w"]:
        """The mean of w: the file's, or that of 10,000 samples of seed 0, computed once.

        For a generator with classes, each of these samples draws its own class.
        """
        if self._mean is None:
            total = torch.zeros(self.spaces["w"].shape, dtype=torch.float64)
            for first in range(0, _MEAN_SAMPLES, _MEAN_BLOCK):
                indices = range(first, first + _MEAN_BLOCK)
                z = standard_normal(indices, seed=_MEAN_SEED, size=self.spaces["z"].shape[0])
                labels = None
                if self.n_classes:
                    labels = uniform_labels(indices, seed=_MEAN_SEED, n_classes=self.n_classes)
                latent = Latent("z", z, labels).to(self.device)
                with torch.no_grad():
                    total += self._map(latent).double().sum(dim=0).cpu()
            self._mean = (total / _MEAN_SAMPLES).float().to(self.device)
        return self._mean

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        """Latents of the samples ``indices`` of a seed, in z.

        Raises:
            GeneratorError: a label of a class that it does not have.
        """
        return sample_normal(self, indices, seed=seed, label=label)

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """Convert a latent to another space; truncation happens in w or w+.

        w' = w̄ + ψ (w - w̄), on the first ``cutoff`` layers; w̄ is ``mean_w()``. Conversions to p
        and p+ truncate too.

        Raises:
            GeneratorError: a space that it lacks, a conversion that does not exist (see the module
                docstring), invalid labels, truncation where the conversion does not pass through w,
                or a cutoff in a conversion to w, which has no layers.
        """
        check_conversion(self, latent, space, first=list(self.spaces)[1])
        truncate = truncation != 1.0
        if truncate and (latent.space == "s" or space == "z"):
            raise GeneratorError(
                f"cannot truncate from {latent.space!r} to {space!r}; "
                "expected w or w+ on the way; start from z, w or w+"
            )
        goal = _BEFORE_SLOPE.get(space, space)
        if truncate and cutoff is not None and goal == "w":
            raise GeneratorError(
                f"cutoff given on the way to {space!r}, which has one vector for all layers; "
                "expected no cutoff; convert to 'w+'"
            )
        latent = latent.to(self.device)
        if latent.space == space and not truncate:
            return Latent(space, latent.data.reshape(-1, *self.spaces[space].shape), latent.label)
        at = latent.space
        data = latent.data if at.endswith("+") else latent.data.flatten(1)
        if at in _BEFORE_SLOPE:
            at, data = _BEFORE_SLOPE[at], functional.leaky_relu(data, self._slope)
        if at == "s" and goal in ("w", "w+"):
            at, data = "w+", self._solve_styles(data)
        if at == "w+" and goal == "w":
            at, data = "w", self._one_layer(data, exact=latent.space != "s")
        if at == "z" and goal != "z":
            at, data = "w", self._map(latent)
        if at == "w" and goal in ("w+", "s"):
            at, data = "w+", data[:, None].expand(-1, self.module.n_ws, -1)
        if truncate:
            near = self.mean_w() + truncation * (data - self.mean_w())
            whole = data.ndim == 2 or cutoff is None
            data = near if whole else torch.cat([near[:, :cutoff], data[:, cutoff:]], dim=1)
        if at == "w+" and goal == "s":
            data = torch.cat(list(self.module.styles(data).values()), dim=1)
        if space in _BEFORE_SLOPE:
            data = functional.leaky_relu(data, 1 / self._slope)
        return Latent(space, data, latent.label)

    @property
    def _slope(self) -> float:
        slope = self.module.mapping_slope
        assert slope is not None  # p and p+ are no spaces then
        return slope

    def style_weight(self, layer: str) -> Float[Tensor, "style w"]:
        """See ``HasStyles.style_weight``.

        Raises:
            LayerError: a layer without style.
        """
        if layer not in self.style_slices:
            raise LayerError(
                f"layer {layer!r} has no style; expected one of {', '.join(self.style_slices)}"
            )
        return self._style_derivative(layer).sum(dim=1)

    def _style_derivative(self, layer: str) -> Float[Tensor, "style layer w"]:
        """Derivative of a layer's style with respect to w+; constant, since styles are affine."""
        zero = torch.zeros(self.spaces["w+"].shape, device=self.device)
        derivative = torch.func.jacrev(lambda ws: self.module.styles(ws[None])[layer][0])(zero)
        return derivative.detach()

    def _solve_styles(self, styles: Float[Tensor, "batch s"]) -> Float[Tensor, "batch layer w"]:
        """The w+ that has these styles, by least squares in float64."""
        n_layers, size = self.spaces["w+"].shape
        zero = torch.zeros(1, n_layers, size, device=self.device)
        offsets = self.module.styles(zero)
        weights: list[list[Tensor]] = [[] for _ in range(n_layers)]
        values: list[list[Tensor]] = [[] for _ in range(n_layers)]
        for layer, part in self.style_slices.items():
            derivative = self._style_derivative(layer).double()
            rows = derivative.abs().sum(dim=(0, 2)).nonzero().flatten().tolist()
            if len(rows) == 1:  # with several layers of w+, the rest only checks the solution
                weights[rows[0]].append(derivative[:, rows[0]])
                values[rows[0]].append((styles[:, part] - offsets[layer]).double())
        solved = []
        for row, (own, targets) in enumerate(zip(weights, values, strict=True)):
            weight = torch.cat(own) if own else styles.new_zeros(1, size).double()
            rank = int(torch.linalg.matrix_rank(weight))
            if rank < size:
                raise GeneratorError(
                    f"cannot convert from 's' back to 'w+': styles of layer {row} of {self.name} "
                    f"determine {rank} of {size} coordinates of w; expected all; start from w+"
                )
            target = torch.cat(targets, dim=1)
            solved.append(torch.linalg.lstsq(weight, target.T).solution.T)
        ws = torch.stack(solved, dim=1).to(styles.dtype)
        again = torch.cat(list(self.module.styles(ws).values()), dim=1)
        if not torch.allclose(again, styles, rtol=_SAME, atol=_SAME * float(styles.abs().max())):
            raise GeneratorError(
                "cannot convert from 's' back to 'w+': no w+ has these styles; expected ones that "
                "came from w+ unedited"
            )
        return ws

    def _one_layer(
        self, ws: Float[Tensor, "batch layer w"], *, exact: bool
    ) -> Float[Tensor, "batch w"]:
        """The w that all layers of w+ share; exact, or up to rounding if it came from s."""
        near = 0.0 if exact else _SAME * float(ws.abs().max())
        if ((ws - ws[:, :1]).abs() > near).any():
            raise GeneratorError(
                "cannot convert from 'w+' back to 'w': its layers differ; expected the same vector "
                "in all of them"
            )
        return ws[:, 0]

    def _map(self, latent: Latent) -> Tensor:
        classes = class_vectors(latent, n_classes=self.n_classes, name=self.name)
        return self.module.map_z(latent.data.flatten(1), classes)

    def synthesize(
        self, latent: Latent, *, noise: str | Tensor = "const"
    ) -> Float[Tensor, "batch rgb size size"]:
        """Images in RGB, [-1, 1]; the network's output is not clamped.

        Raises:
            GeneratorError: an unknown kind of noise, or a latent of another generator.
        """
        if not (noise in NOISES if isinstance(noise, str) else self.takes_noise_maps):
            raise GeneratorError(f"noise is {noise!r}; expected {', '.join(NOISES)}")
        styles = self.convert(latent, "s").data
        return self.module.draw(
            {layer: styles[:, part] for layer, part in self.style_slices.items()}, noise=noise
        )
