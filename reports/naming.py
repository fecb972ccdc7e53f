"""Display names of models."""

import re
from pathlib import PurePosixPath

_PARTS = re.compile(r"([:+,])")
_PATH = re.compile(r"(~|\.{0,2})/")


def short_name(name: str) -> str:
    """A model's name without the folders of its file; other names are unchanged.

    Example:
        >>> short_name("smp:/data/nets/unet.pt"), short_name("hf:owner/model")
        ('smp:unet.pt', 'hf:owner/model')
    """
    parts = _PARTS.split(name)
    return "".join(PurePosixPath(part).name if _PATH.match(part) else part for part in parts)
