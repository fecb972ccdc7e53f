"""Selects the weights of a file that form the generator, and records the use of the others.

A file may hold a generator several times: as trained, and averaged over the training. The averaged
one is normally wanted. One rule serves all families: the averaged weights are taken. They are
recognised by the name of their group (``AVERAGED``) or by ``n_averaged`` beside them, which torch's
``AveragedModel`` writes. ``file.pt#NAME`` takes another group.

A group is a dictionary or a module in the file (``G_ema``), or the tensors of one that share a
prefix which only denotes a network (``state_dict/ema_generator``). Prefixes of programs that wrap
networks (``module.``, ``_orig_mod.``) are not part of a tensor's name.

Averages often cover parameters only: as a dictionary without the running statistics, as a list
without names (torch_ema), or under names without dots (LitEma). They are completed from the group
that they average.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from dissect.errors import CheckpointError
from dissect.generators.checkpoint import Checkpoint
from dissect.generators.naming import OTHER_NETWORKS, is_averaged, names_network, words_of

_WRAPPER = "module."  # torch.nn.DataParallel, AveragedModel
_INSIDE = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_COUNTERS = frozenset({"n_averaged", "num_updates", "decay", "initted", "step"})
_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
_MOST_PARTS = 400
_DEEPEST = 4


@dataclass
class Ledger:
    """What a family records while it reads; modified in place.

    Attributes:
        used: Names of tensors that were read.
        beside: Names in the file of tensors that were read from outside the group.
        missing: Tensors that the network needs and the file lacks → their replacement.
        obeyed: Settings in the file that change the image → their value.
        assumed: Properties that the file does not state → the assumed value.
        elsewhere: Prefixes of other networks in the group.
    """

    used: set[str] = field(default_factory=set)
    beside: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)
    obeyed: dict[str, object] = field(default_factory=dict)
    assumed: dict[str, object] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()


class _Recorded(Mapping[str, Tensor]):
    """Tensors by name; records which ones were read."""

    def __init__(self, tensors: Mapping[str, Tensor], used: set[str]) -> None:
        self._tensors, self._used = tensors, used

    def __getitem__(self, name: str) -> Tensor:
        value = self._tensors[name]
        self._used.add(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


@dataclass(frozen=True)
class Part:
    """A group of weights, from which a family builds a generator.

    Attributes:
        whole: The file.
        group: Name of the group, as users choose it; empty for the top level.
        averaged: Whether it holds averaged weights.
        tensors: Under their own names: without those of the group and of wrappers.
        attributes: The group's, by the same names; those of the file are ``whole.attributes``.
        origins: Own name → name in the file.
        borrowed: Names that the group lacks → the group that provides them.
        ledger: See ``Ledger``.
    """

    whole: Checkpoint
    group: str
    averaged: bool
    tensors: Mapping[str, Tensor]
    attributes: Mapping[str, Any]
    origins: Mapping[str, str]
    borrowed: Mapping[str, str] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def path(self) -> Path:
        return self.whole.path

    @property
    def nested(self) -> Mapping[str, Tensor]:
        """The group's tensors and those of all inner groups, with names joined by ``/``."""
        start = _join(self.group, "")
        tensors = self.whole.tensors.items()
        found = {name.removeprefix(start): v for name, v in tensors if name.startswith(start)}
        return _Recorded(found, self.ledger.used)

    def beside(self, name: str) -> Tensor | None:
        """A tensor in the file that is next to the group."""
        full = _join(self.group.rpartition("/")[0], name)
        self.ledger.beside.add(full)
        return self.whole.tensors.get(full)

    def recorded(self) -> "Part":
        """The same part with an empty ledger, which records the tensors that are read."""
        ledger = Ledger()
        return replace(self, tensors=_Recorded(self.tensors, ledger.used), ledger=ledger)


@dataclass(frozen=True)
class OtherGroup:
    """A group of weights that was not taken.

    Attributes:
        name, averaged: See ``Part``.
        family: Family of its generator; None if none is known.
        n_tensors: Number of its tensors.
    """

    name: str
    averaged: bool
    family: str | None
    n_tensors: int


@dataclass(frozen=True)
class Source:
    """Origin of a generator's weights.

    Attributes:
        path, group, averaged: See ``Part``.
        others: The file's other groups.
        unused: Names in the group of tensors that the generator does not use.
        borrowed, missing, obeyed, assumed: See ``Part`` and ``Ledger``.
        used: Names in the file of the tensors that it uses.
    """

    path: Path
    group: str
    averaged: bool
    others: tuple[OtherGroup, ...]
    unused: tuple[str, ...]
    borrowed: Mapping[str, str]
    missing: Mapping[str, str]
    obeyed: Mapping[str, object]
    assumed: Mapping[str, object]
    used: frozenset[str]

    def notices(self) -> list[str]:
        """Remarks on the choice of weights that every user should see, one line each."""
        lines = []
        lost = [
            other.name
            for other in self.others
            if other.averaged
            and other.family is None
            and not self.averaged
            and not words_of(other.name) & OTHER_NETWORKS
        ]
        if lost:
            lines.append(
                f"the weights {self.group or '(top)'!r} were taken as they were trained; "
                f"{lost[0]!r} is averaged by its name, but holds no generator that is known here"
            )
        if self.unused:
            lines.append(
                f"{len(self.unused)} tensors of {self.group or 'the file'} are not used: "
                f"{_shorten(self.unused)}"
            )
        lines += [f"the file lacks {name}: {what}" for name, what in self.missing.items()]
        return lines


def find_parts(checkpoint: Checkpoint) -> list[Part]:
    """The groups of a file, averaged ones first, otherwise in the file's order."""
    parts: list[Part] = []
    groups = checkpoint.groups()
    for group in _with_parents(groups):
        part = _make(checkpoint, group, groups.get(group, {}))
        parts += [part, *_below_prefixes(part, depth=0)]
        if len(parts) >= _MOST_PARTS:
            break
    if not parts:  # a program without tensors
        return [whole_part(checkpoint)]
    plain = [part for part in parts if not part.averaged]
    averaged = [_complete(part, plain) for part in parts if part.averaged]
    return averaged + plain


def whole_part(checkpoint: Checkpoint) -> Part:
    """The top level of a file or folder, outside any group."""
    return _make(checkpoint, "", checkpoint.groups().get("", {}))


def choose_part(checkpoint: Checkpoint, name: str, parts: Sequence[Part]) -> Part:
    """The group with this name, or the only one whose name ends with it.

    Raises:
        CheckpointError: no group of that name, or several.
    """
    found = [part for part in parts if part.group == name]
    found = found or [p for p in parts if p.group.rpartition("/")[2] == name]
    if not found:  # a prefix that does not denote a network
        for group, state in checkpoint.groups().items():
            whole = _make(checkpoint, group, state)
            start = name.removeprefix(f"{group}/") if group else name
            below = _of_prefix(whole, start.rstrip("."))
            found += [below] if below is not None else []
    if len(found) == 1:
        return found[0]
    known = ", ".join(dict.fromkeys(repr(p.group) for p in parts if p.group and p.tensors))
    what = "is none of its groups" if not found else f"fits {len(found)} of its groups"
    raise CheckpointError(
        f"the weights {name!r} were chosen from {checkpoint.path}, which {what}; expected one of "
        f"{known[:400] or 'none: all of them stand at the top'}; dissect inspect FILE lists them"
    )


def list_others(
    taken: Part, parts: Sequence[Part], families: Mapping[str, str]
) -> list[OtherGroup]:
    """The groups that were not taken: those that hold a generator, and the file's own ones.

    Args:
        taken: The group that was taken.
        parts: All groups.
        families: Name of a group → family of the generator in it.
    """
    own = set(taken.origins.values())
    found: list[Part] = []
    for part in parts:
        within = _within(part.group, taken.group) or _within(taken.group, part.group)
        shared = not own.isdisjoint(part.origins.values()) if part.origins and own else within
        listed = part.group in families or (
            part.tensors and (part.averaged or "/" not in part.group)
        )
        if listed and not shared and part.group:
            found.append(part)
    outer = [part.group for part in found]
    return [
        OtherGroup(part.group, part.averaged, families.get(part.group), len(part.nested))
        for part in found
        # Of nested groups the outer one is enough, unless the inner one is a generator.
        if part.group in families
        or not any(_within(part.group, name) and part.group != name for name in outer)
    ]


def make_source(part: Part, others: Sequence[OtherGroup]) -> Source:
    """The origin of a part's weights, from its ledger, after the generator is built."""
    ledger = part.ledger
    tensors = part.tensors
    if not ledger.used <= tensors.keys():  # names joined with those of inner groups
        tensors = part.nested
    unused = [
        name
        for name in tensors
        if name not in ledger.used | part.borrowed.keys() and not name.startswith(ledger.elsewhere)
    ]
    full = {part.origins.get(name, _join(part.group, name)) for name in ledger.used}
    return Source(
        path=part.path,
        group=part.group,
        averaged=part.averaged,
        others=tuple(others),
        unused=tuple(unused),
        borrowed={name: part.borrowed[name] for name in part.borrowed if name in ledger.used},
        missing=dict(ledger.missing),
        obeyed=dict(ledger.obeyed),
        assumed=dict(ledger.assumed),
        used=frozenset(full | (ledger.beside & part.whole.tensors.keys())),
    )


def _with_parents(groups: Mapping[str, object]) -> Iterator[str]:
    """Names of groups, each after its parents."""
    seen = set()
    for group in groups:
        steps = group.split("/") if group else []
        for n in range(len(steps) + 1):
            name = "/".join(steps[:n])
            if name not in seen:
                seen.add(name)
                yield name


def _make(checkpoint: Checkpoint, group: str, state: Mapping[str, Tensor]) -> Part:
    start = f"{group}/" if group else ""
    attributes = {
        name.removeprefix(start): value
        for name, value in checkpoint.attributes.items()
        if name.startswith(start)
    }
    kept = _without_counters(state)
    origins = {name: start + name for name in kept}
    averaged = is_averaged(group) or "n_averaged" in state or _is_last_of_three(checkpoint, group)
    return _unwrap(Part(checkpoint, group, averaged, kept, attributes, origins))


def _without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors without the counters of averaging."""
    return {n: v for n, v in state.items() if n not in _COUNTERS or v.numel() > 1}


def _is_last_of_three(checkpoint: Checkpoint, group: str) -> bool:
    """Whether it is Gs of (G, D, Gs), as in TensorFlow-era pickles."""
    if group.partition("/")[0] != "2":
        return False
    tops = {name.partition("/")[0] for name in checkpoint.tensors}
    # Names of TensorFlow's variables contain slashes, torch's do not.
    return tops <= {"0", "1", "2"} and "2" not in checkpoint.groups()


def _unwrap(part: Part) -> Part:
    """The part without the prefixes of wrappers."""
    if any(_INSIDE.search(name) for name in part.tensors):
        part = _rename(part, {name: _INSIDE.sub("", name) for name in part.tensors})
    while True:
        if not part.tensors or not all(name.startswith(_WRAPPER) for name in part.tensors):
            return part
        inner = _of_prefix(part, _WRAPPER[:-1])
        if inner is None:
            return part
        part = replace(inner, group=part.group, averaged=part.averaged)


def _rename(part: Part, names: Mapping[str, str]) -> Part:
    if len(set(names.values())) < len(names):
        return part
    attributes = {_INSIDE.sub("", name): value for name, value in part.attributes.items()}
    return replace(
        part,
        tensors={new: part.tensors[old] for old, new in names.items()},
        attributes=attributes,
        origins={new: part.origins[old] for old, new in names.items()},
    )


def _of_prefix(part: Part, prefix: str) -> Part | None:
    """The part below a dotted prefix; None if there is none."""
    start = f"{prefix}."
    tensors = {n.removeprefix(start): v for n, v in part.tensors.items() if n.startswith(start)}
    tensors = _without_counters(tensors)
    if not tensors:
        return None
    return replace(
        part,
        group=_join(part.group, prefix),
        averaged=part.averaged or is_averaged(prefix),
        tensors=tensors,
        attributes={
            name.removeprefix(start): value
            for name, value in part.attributes.items()
            if name.startswith(start)
        },
        origins={name: part.origins[start + name] for name in tensors},
    )


def _below_prefixes(part: Part, depth: int) -> Iterator[Part]:
    """The parts below prefixes that only denote a network."""
    if depth >= _DEEPEST:
        return
    prefixes = dict.fromkeys(name.partition(".")[0] for name in part.tensors if "." in name)
    for prefix in prefixes:
        if names_network(prefix):
            inner = _of_prefix(part, prefix)
            if inner is None:
                continue
            below = _unwrap(inner)
            counted = f"{prefix}.n_averaged" in part.tensors
            averaged = part.averaged or is_averaged(prefix) or counted
            below = replace(below, averaged=averaged)
            yield below
            yield from _below_prefixes(below, depth + 1)


def _complete(part: Part, plain: Sequence[Part]) -> Part:
    """Averaged parameters, completed with the statistics of the group that they average."""
    own = part.tensors
    if not own:
        return part
    for raw in plain:
        if len(raw.tensors) < len(own) or raw.group == part.group:
            continue
        names = _match(own, raw.tensors)
        if names is None or (names.keys() == own.keys() == raw.tensors.keys()):
            continue
        known = set(names.values())
        lacking = [name for name in raw.tensors if name not in known]
        if len(lacking) > 2 * len(known):
            continue
        shown = raw.group or "the top"
        return replace(
            part,
            tensors={
                **{name: raw.tensors[name] for name in lacking},
                **{new: own[old] for old, new in names.items()},
            },
            attributes=dict(raw.attributes) | dict(part.attributes),
            origins={new: part.origins[old] for old, new in names.items()}
            | {name: raw.origins[name] for name in lacking},
            borrowed=dict.fromkeys(lacking, shown),
        )
    return part


def _is_statistic(name: str) -> bool:
    return name.endswith(_STATISTICS)


def _match(own: Mapping[str, Tensor], raw: Mapping[str, Tensor]) -> dict[str, str] | None:
    """Names of averaged parameters → names in the network; None if they do not match."""
    if own.keys() <= raw.keys():
        names = {name: name for name in own}
    elif all(name.isdigit() for name in own):  # a list, in the order of parameters
        listed = [name for name in raw if not _is_statistic(name)]
        if len(listed) != len(own):
            return None
        names = dict(zip(sorted(own, key=int), listed, strict=True))
    else:
        dotless = {name.replace(".", ""): name for name in raw}
        if not own.keys() <= dotless.keys():
            return None
        names = {name: dotless[name] for name in own}
    fits = all(own[old].shape == raw[new].shape for old, new in names.items())
    return names if fits else None


def _within(name: str, outer: str) -> bool:
    return not outer or name == outer or name.startswith(f"{outer}/")


def _join(group: str, name: str) -> str:
    return f"{group}/{name}" if group else name


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
