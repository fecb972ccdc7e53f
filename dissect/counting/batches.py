"""Fewer images at a time where memory runs out.

Convolutions may round differently for another number of images, so whoever makes fewer at a time
says so: a run notes the blocks that were made in smaller batches.
"""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from dissect.errors import RunError

_T = TypeVar("_T")
_SAID = ("out of memory", "not enough memory", "can't allocate memory", "bad allocation")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, on the processor or an accelerator."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _SAID)


def make_in_batches(
    n_images: int, most: int, make: Callable[[slice], _T], what: str
) -> tuple[list[_T], int]:
    """Make something of some images, half as many at a time whenever memory runs out.

    Args:
        n_images: How many.
        most: At a time, to begin with.
        make: Makes it of some of them.
        what: Is made, for the message.

    Returns:
        What was made, in order, and how many images were taken at a time.

    Raises:
        RunError: one image at a time is too much.
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
        # Behind the handler: the error's frames hold what did not fit.
        if failed is not None:
            raise RunError(
                f"memory ran out while {what} ({failed}); expected room for one image at a time; "
                "give fewer --layers or workers"
            )
        size = -(-size // 2)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
