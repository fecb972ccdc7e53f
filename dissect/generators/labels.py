"""Class labels of latents as vectors, from indices or from given weights."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.errors import GeneratorError
from dissect.latents import Latent


def class_vectors(
    latent: Latent, *, n_classes: int, name: str
) -> Float[Tensor, "batch n_classes"] | None:
    """The classes of a batch as vectors, or None for a generator without classes.

    Args:
        latent: Its ``label`` is an index for each sample, or a vector of ``n_classes`` weights
            (one-hot or a mixture), which is used as it is.
        n_classes: Number of the generator's classes; 0 if none.
        name: Name of the generator, for messages.

    Raises:
        GeneratorError: a missing label, or one of another shape or range.

    Example:
        >>> import torch
        >>> class_vectors(Latent("z", torch.zeros(1, 4), torch.tensor([2])), n_classes=3, name="g")
        tensor([[0., 0., 1.]])
    """
    if not n_classes:
        return None
    label = latent.label
    if label is None:
        raise GeneratorError(
            f"a latent without labels given to {name}, which has {n_classes} classes; expected a "
            "label for each sample; use sample(…, label=…)"
        )
    if tuple(label.shape) == (len(latent), n_classes):
        return label.to(latent.data.dtype)
    if tuple(label.shape) != (len(latent),) or label.is_floating_point():
        raise GeneratorError(
            f"labels of shape {tuple(label.shape)} and type {label.dtype} given to {name}; "
            f"expected {len(latent)} indices or {len(latent)} × {n_classes} weights of classes"
        )
    if len(label) and not 0 <= int(label.min()) <= int(label.max()) < n_classes:
        raise GeneratorError(
            f"labels from {int(label.min())} to {int(label.max())} given to {name}; expected "
            f"0 to {n_classes - 1}"
        )
    return functional.one_hot(label.long(), n_classes).to(latent.data.dtype)
