"""What a person means who looks for a concept: its name, a plural, another word for it.

    means("windows", "lit window"), means("glass", "window")   # True, True

Other words stand in ``names/synonyms.txt``, one meaning a line.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources

_ENDINGS = (
    ("ies", "y"),
    ("ves", "f"),
    ("sses", "ss"),
    ("shes", "sh"),
    ("ches", "ch"),
    ("xes", "x"),
)
_SHORTEST = 4  # letters of a plural; "bus" and "gas" are none
_NO_PLURALS = ("ss", "us", "is")


def singular(word: str) -> str:
    """A regular English plural as one of them; any other word as it is.

    Example:
        >>> singular("windows"), singular("branches"), singular("glass")
        ('window', 'branch', 'glass')
    """
    if len(word) < _SHORTEST:
        return word
    for ending, one in _ENDINGS:
        if word.endswith(ending):
            return word[: -len(ending)] + one
    return word[:-1] if word.endswith("s") and not word.endswith(_NO_PLURALS) else word


def means(word: str, name: str) -> bool:
    """Whether a word that was typed means a name: as a piece of it, a plural, or a synonym.

    Args:
        word: One word, in small letters.
        name: Of a concept, or what a person calls a unit.
    """
    name = name.lower()
    if word in name or singular(word) in name:
        return True
    words = {singular(one) for one in name.replace("-", " ").split()}
    return not words.isdisjoint(_synonyms().get(singular(word), frozenset()))


@cache
def _synonyms() -> Mapping[str, frozenset[str]]:
    """Each word → all that mean the same."""
    found: dict[str, frozenset[str]] = {}
    text = (resources.files("segmenters") / "names" / "synonyms.txt").read_text("utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            group = frozenset(singular(word) for word in line.split())
            for word in group:
                found[word] = found.get(word, frozenset()) | group
    return found
