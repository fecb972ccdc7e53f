"""Flat names for the contents of a file.

Names in dictionaries, lists and records are joined with ``/``. A pickled torch module is a group:
the names in it are those of its ``state_dict()``. A list of pairs (name, tensor) is treated as a
dictionary.
"""

from collections.abc import Iterable
from itertools import chain
from typing import TypeGuard

from torch import Tensor

from dissect.generators.reading.bounds import Allowance, Refusal, check_count
from dissect.generators.reading.names import Global, Record
from dissect.generators.reading.tensors import Array

_DEEPEST = 100
_MOST_ELEMENTS = 64  # longest list that is kept as a plain value
_LONGEST_TEXT = 10_000
_VISIT = 512  # bytes charged for a visit
_TENSORS = ("_parameters", "_buffers")
# Attributes that torch.nn.Module keeps for itself.
_PRIVATE = (
    "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_backward_", "_forward_",
    "_state_dict_", "_load_state_dict_", "_is_full_backward_hook", "_backend",
)  # fmt: skip


def flatten(content: object, allowance: Allowance) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors and plain values by their flat names, in the order of the file.

    Args:
        content: The value that was read.
        allowance: Remaining memory budget; each visit is charged, so that lists that contain each
            other end.

    Raises:
        Refusal: content that is too deep, too large, or gives two tensors one name.
    """
    walk = _Walk(allowance)
    walk.visit(content, "", in_module=False)
    return walk.tensors, walk.attributes


class _Walk:
    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.tensors: dict[str, Tensor] = {}
        self.attributes: dict[str, object] = {}
        self.path: list[int] = []  # ids of the values being visited, to detect cycles

    def visit(self, value: object, name: str, *, in_module: bool) -> None:
        self.allowance.charge(_VISIT + len(name))
        value = value.tensor if isinstance(value, Array) else value
        if isinstance(value, Tensor):
            if in_module and value.numel() <= _MOST_ELEMENTS:
                self.attributes[name] = value.tolist()
            else:
                self.keep(name, value)
        elif _is_plain(value):
            self.attributes[name] = str(value) if isinstance(value, Global) else value
        elif isinstance(value, dict | list | tuple | Record):
            if isinstance(value, list | tuple):
                self.allowance.charge(8 * len(value))
                if all(map(_is_scalar, value)):
                    return  # a long list, such as losses
            if id(value) in self.path:
                return
            if len(self.path) >= _DEEPEST:
                raise Refusal(
                    f"is nested deeper than {_DEEPEST} levels; save model.state_dict() instead"
                )
            self.path.append(id(value))
            if _is_module(value):
                self.visit_module(value, name, "/")
            else:
                for key, child in _children(value):
                    self.visit(child, _join(name, "/", key), in_module=False)
            self.path.pop()

    def visit_module(self, module: Record, name: str, separator: str) -> None:
        """A module's own tensors, attributes, then its children's."""
        self.attributes[_join(name, separator, "__class__")] = module.class_name
        for key, value in module.state.items():
            if key in _TENSORS:
                for part, stored in value.items():
                    self.allowance.charge(_VISIT + len(name))
                    tensor = stored.tensor if isinstance(stored, Array) else stored
                    if isinstance(tensor, Tensor):
                        self.keep(_join(name, separator, part), tensor)
            elif isinstance(key, str) and not key.startswith(_PRIVATE):
                self.visit(value, _join(name, separator, key), in_module=True)
        for key, child in module.state["_modules"].items():
            if not _is_module(child) or id(child) in self.path:
                continue
            self.allowance.charge(_VISIT + len(name))
            if len(self.path) >= _DEEPEST:
                raise Refusal(f"has modules nested deeper than {_DEEPEST} levels")
            self.path.append(id(child))
            self.visit_module(child, _join(name, separator, key), ".")
            self.path.pop()

    def keep(self, name: str, tensor: Tensor) -> None:
        check_count(len(self.tensors))
        if self.tensors.setdefault(name, tensor) is not tensor:
            raise Refusal(
                f"has two tensors of the name {name[:80]!r}; save model.state_dict() instead"
            )


def _children(value: dict | list | tuple | Record) -> Iterable[tuple[object, object]]:
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, Record):
        class_name = {} if value.name == "argparse.Namespace" else {"__class__": value.class_name}
        listed = enumerate(chain(value.arguments, value.elements))
        return chain(class_name.items(), value.state.items(), listed)
    pairs = all(isinstance(v, tuple) and len(v) == 2 and isinstance(v[0], str) for v in value)
    if pairs and any(isinstance(v[1], Tensor | Array) for v in value):
        return value
    return enumerate(value)


def _is_module(value: object) -> TypeGuard[Record]:
    return isinstance(value, Record) and all(
        isinstance(value.state.get(name), dict) for name in (*_TENSORS, "_modules")
    )


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= _MOST_ELEMENTS and all(map(_is_scalar, value))
    return _is_scalar(value) or isinstance(value, Global)


def _is_scalar(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    return value is None or isinstance(value, bool | int | float)


def _join(name: str, separator: str, key: object) -> str:
    return f"{name}{separator}{key}" if name else str(key)
