"""Smaller batches of images if memory runs out.

Convolutions may round differently for another number of images. So callers record it: a run stores
the blocks that were computed in smaller batches.
"""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from dissect.errors import RunError

_T = TypeVar("_T")
_SAID = ("out of memory", "not enough memory", "can't allocate memory", "bad allocation")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the processor or an accelerator."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _SAID)


def make_in_batches(
    n_images: int, most: int, make: Callable[[slice], _T], what: str
) -> tuple[list[_T], int]:
    """Process images in batches; halves the batch size whenever memory runs out.

    Args:
        n_images: Number of images.
        most: Initial batch size.
        make: Processes one batch.
        what: Name of the result, for the message.

    Returns:
        The results in order, and the final batch size.

    Raises:
        RunError: not enough memory for a single image.
    """
    size = min(most, n_images)
    while True:
        failed = None
        try:
            rows = [slice(a, min(a + size, n_images)) for a in range(0, n_images, size)]
            return [make(one) for one in rows], size
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                failed = " ".join(str(error).split())[:200]
        # After the handler, because the error's frames keep the failed batch in memory.
        if failed is not None:
            raise RunError(
                f"memory ran out while {what} ({failed}); expected room for one image at a time; "
                "give fewer --layers or workers"
            )
        size = -(-size // 2)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
