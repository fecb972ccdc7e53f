"""Known but unsupported generators: an error names them, so that nobody suspects a damaged file.

They resemble supported families, from which they were developed, but compute something else. A few
names of tensors distinguish them, listed here.

References:
    Sauer et al., StyleGAN-XL, SIGGRAPH 2022. Chan et al., EG3D, CVPR 2022.
    Sauer et al., StyleGAN-T, ICML 2023. Kang et al., GigaGAN, CVPR 2023.
"""

from collections.abc import Mapping

from torch import Tensor

from dissect.errors import CheckpointError
from dissect.generators.checkpoint import Checkpoint


def refuse_unread(checkpoint: Checkpoint) -> None:
    """Raise an error for a file of an unsupported generator.

    Raises:
        CheckpointError: StyleGAN-XL, EG3D, StyleGAN-T or GigaGAN.
    """
    for group, state in checkpoint.groups().items():
        last = group.rpartition("/")[2]
        if last in ("D", "augment_pipe"):
            continue
        name = _recognise(state, str(checkpoint.attributes.get(_join(group, "__class__"), "")))
        if name is not None:
            raise CheckpointError(
                f"{checkpoint.path} is a {name}, which is not read here; expected a generator of "
                "dissect's families; load it with its own program and give it as "
                "package.module:factory, made by dissect.wrap"
            )


def _recognise(state: Mapping[str, Tensor], class_name: str) -> str | None:
    if any(n.startswith("backbone.") for n in state) and any(
        n.startswith("superresolution.") for n in state
    ):
        return "EG3D (a three-dimensional scene that is drawn by volume rendering)"
    if any(n.startswith("synthesis.") and n.endswith(".affine.proj.weight") for n in state):
        return "StyleGAN-T (a text to image generator)"
    # Pretrained embeddings of classes are a table without a bias.
    table = "mapping.embed.weight" in state and "mapping.embed.bias" not in state
    if (
        "mapping.embed_proj.weight" in state
        or (table and any(n.startswith("synthesis.") for n in state))
        or class_name.rpartition(":")[2] == "SuperresGenerator"
    ):
        return "StyleGAN-XL"
    if any(n.endswith("style_to_conv_modulations.weight") for n in state):
        return "GigaGAN (of gigagan-pytorch)"
    return None


def _join(group: str, name: str) -> str:
    return f"{group}/{name}" if group else name
