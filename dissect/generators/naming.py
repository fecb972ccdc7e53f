"""Names of groups, prefixes and files: whether they denote averaged weights or a generator."""

import re

AVERAGED = frozenset(
    """ema avg average averaged smooth smoothed shadow running swa moving polyak
    gs ge""".split()  # noqa: SIM905
)
"""Words that mean averaged weights in the name of a group; ``gs`` and ``ge`` are whole names."""
_NETWORK = frozenset(
    """g gen generator netg net network model module params param parameters weights state dict
    online wrapped student raw""".split()  # noqa: SIM905
)
OTHER_NETWORKS = frozenset(
    """d dis disc discriminator netd critic e enc encoder optim optimizer opt augment
    pipe""".split()  # noqa: SIM905
)
"""Words in the names of what is not a generator."""


def words_of(name: str) -> set[str]:
    """Words of a name, in lower case: ``netG_ema.module`` → net, g, ema, module."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def is_averaged(name: str) -> bool:
    """Whether a name says that the weights below it are averaged."""
    words = words_of(name)
    if words & AVERAGED:
        return True
    # Written together with the averaged network: gema, netgema, emag.
    rests = {
        rest
        for word in words
        for mark in AVERAGED
        if len(mark) > 2
        for rest in (word.removesuffix(mark), word.removeprefix(mark))
        if rest != word
    }
    return bool(rests & _NETWORK)


def names_network(component: str) -> bool:
    """Whether a name only denotes a network."""
    words = words_of(component)
    compound = len(words) == 1 and is_averaged(component)
    return bool(words) and (words <= _NETWORK | AVERAGED or compound)
