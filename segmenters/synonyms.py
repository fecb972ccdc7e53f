"""Matches a search word to names of concepts: by name, plural, or synonym.

    means("windows", "lit window"), means("glass", "window")   # True, True

``names/synonyms.txt`` lists the synonyms, one meaning per line.
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
_SHORTEST = 4  # least letters of a plural; "bus" and "gas" are singular
_NO_PLURALS = ("ss", "us", "is")


def singular(word: str) -> str:
    """The singular of a regular English plural; other words are returned unchanged.

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
    """Whether a search word means a name: as a part of it, a plural, or a synonym.

    Args:
        word: One word in lower case.
        name: Name of a concept, or a person's label of a unit.
    """
    name = name.lower()
    if word in name or singular(word) in name:
        return True
    words = {singular(one) for one in name.replace("-", " ").split()}
    return not words.isdisjoint(_synonyms().get(singular(word), frozenset()))


@cache
def _synonyms() -> Mapping[str, frozenset[str]]:
    """Each word → all words with the same meaning."""
    found: dict[str, frozenset[str]] = {}
    text = (resources.files("segmenters") / "names" / "synonyms.txt").read_text("utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            group = frozenset(singular(word) for word in line.split())
            for word in group:
                found[word] = found.get(word, frozenset()) | group
    return found
