"""Limits of what reading a file may cost, and the error raised when one is exceeded."""

_BASE = 200 << 20  # bytes that values may take besides twice the size of their file

MOST_TENSORS = 50_000
"""Of one file; the largest generators have some thousands."""

SAVE_WEIGHTS = "save model.state_dict() with safetensors instead"
"""What to do about most files that are refused."""


class Refusal(Exception):  # noqa: N818
    """Why a file is not read and what to do: the rest of a line that begins with its name."""


def damaged(reason: str) -> Refusal:
    """A file whose bytes contradict each other."""
    return Refusal(f"is damaged or no checkpoint ({reason}); get it again")


def check_count(n_tensors: int) -> None:
    """Before so many tensors of a file are looked at.

    Raises:
        Refusal: more than ``MOST_TENSORS``.
    """
    if n_tensors > MOST_TENSORS:
        raise Refusal(
            f"holds {n_tensors:,} tensors; expected at most {MOST_TENSORS:,}; {SAVE_WEIGHTS}"
        )


class Allowance:
    """Memory that what a file describes may take: as much as its size lets one expect.

    Args:
        size: Of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self.values = _BASE + 2 * size
        self.tensors = size

    def charge(self, n_bytes: int) -> None:
        """Before values of about that size are made.

        Raises:
            Refusal: more than all values of such a file may take.
        """
        self.values -= n_bytes
        if self.values < 0:
            raise Refusal(
                "describes more values than a file of its size should hold, so that reading it "
                f"could fill the memory; {SAVE_WEIGHTS}"
            )

    def claim(self, n_bytes: int) -> None:
        """Before memory for a tensor's values is taken.

        Raises:
            Refusal: tensors that are larger together than the file.
        """
        self.tensors -= n_bytes
        if self.tensors < 0:
            raise Refusal("declares larger tensors than the file holds; get it again")
