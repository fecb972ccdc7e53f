"""Limits on the cost of reading a file, and the error raised when one is exceeded."""

_BASE = 200 << 20  # bytes of values allowed on top of twice the file's size

MOST_TENSORS = 50_000
"""Limit per file; the largest generators have some thousands."""

SAVE_WEIGHTS = "save model.state_dict() with safetensors instead"
"""Advice for most files that are rejected."""


class Refusal(Exception):  # noqa: N818
    """Why a file is rejected and what to do: the rest of a line that begins with its name."""


def damaged(reason: str) -> Refusal:
    """The error for a file whose contents are inconsistent."""
    return Refusal(f"is damaged or no checkpoint ({reason}); get it again")


def check_count(n_tensors: int) -> None:
    """Check the number of tensors in a file before they are read.

    Raises:
        Refusal: more than ``MOST_TENSORS``.
    """
    if n_tensors > MOST_TENSORS:
        raise Refusal(
            f"holds {n_tensors:,} tensors; expected at most {MOST_TENSORS:,}; {SAVE_WEIGHTS}"
        )


class Allowance:
    """Memory budget for the contents of a file, in proportion to its size.

    Args:
        size: Size of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self.values = _BASE + 2 * size
        self.tensors = size

    def charge(self, n_bytes: int) -> None:
        """Take about this number of bytes from the budget before values are created.

        Raises:
            Refusal: the budget is exceeded.
        """
        self.values -= n_bytes
        if self.values < 0:
            raise Refusal(
                "describes more values than a file of its size should hold, so that reading it "
                f"could fill the memory; {SAVE_WEIGHTS}"
            )

    def claim(self, n_bytes: int) -> None:
        """Take this number of bytes from the budget before a tensor's values are allocated.

        Raises:
            Refusal: all tensors together are larger than the file.
        """
        self.tensors -= n_bytes
        if self.tensors < 0:
            raise Refusal("declares larger tensors than the file holds; get it again")
