"""Names in a pickle: kept as inert values, or an error.

A pickle names classes and functions of the program that wrote it, to be imported and called. Here
nothing is imported. A known name has a small implementation of our own (``meanings``), an unknown
one becomes a ``Record`` of its arguments. A few names are an error, since no weight file has a
reason to use them:

- names with a dot, which reach into the imports of a module;
- all names of the modules in ``REFUSED_MODULES``: they start programs, import, or call;
- all names of ``builtins`` except plain types.

Safety does not depend on this list. It distinguishes a file with a foreign class from one made for
an attack.
"""

from dataclasses import dataclass, field
from typing import Any

from dissect.generators.reading.bounds import SAVE_WEIGHTS, Refusal, damaged

REFUSED_MODULES = frozenset(
    """
    _posixsubprocess _pickle _thread asyncio atexit bdb cProfile cloudpickle codeop commands
    concurrent ctypes dill ftplib functools http idlelib imp importlib inspect io _io joblib marshal
    mmap multiprocessing nt ntpath operator _operator os pdb pickle pip pkgutil popen2 posix
    posixpath pty pydoc requests runpy shelve shutil signal smtplib socket socketserver ssl
    subprocess sys tarfile telnetlib tempfile threading timeit types urllib webbrowser xmlrpc
    zipfile zipimport
    """.split()  # noqa: SIM905
)
"""Includes their submodules. ``builtins`` has its own rule."""
_REFUSED_ALONE = frozenset({"code", "platform", "profile", "site", "trace"})
# Users' own folders may have these names too.

_REFUSED_NAMES = frozenset(
    {
        "torch.load", "torch.save", "torch.compile", "torch.hub", "torch.jit", "torch.package",
        "torch.serialization.load", "torch.classes", "torch.ops", "torch.utils.cpp_extension",
        "numpy.load", "numpy.fromfile", "numpy.memmap", "numpy.ctypeslib", "numpy.f2py",
        "numpy.testing", "pandas.read_pickle", "pandas.eval",
    }
)  # fmt: skip
_PLAIN_TYPES = frozenset(
    "bool bytearray bytes complex dict float frozenset int list object set str tuple type".split()  # noqa: SIM905
)
_LONGEST = 400
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}


@dataclass(frozen=True)
class Global:
    """A class or function that a pickle names; only the name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Record:
    """An object in a pickle whose class is not run.

    Attributes:
        name: ``module.Class``.
        arguments: Arguments of the class.
        state: Attributes of the object, or items of a dictionary subclass.
        elements: Elements of a list subclass.
    """

    name: str
    arguments: tuple[object, ...] = ()
    state: dict[Any, Any] = field(default_factory=dict)
    elements: list[object] = field(default_factory=list)

    @property
    def class_name(self) -> str:
        """``module:Class``, as used in attributes."""
        module, _, name = self.name.rpartition(".")
        return f"{module}:{name}"


def make_global(module: object, name: object) -> Global:
    """The inert value of a name.

    Raises:
        Refusal: a forbidden name, or an invalid one.
    """
    if not (isinstance(module, str) and isinstance(name, str)):
        raise damaged("a name that is not text")
    if len(module) + len(name) > _LONGEST:
        raise damaged(f"a name of more than {_LONGEST} letters")
    if "." in name:
        raise Refusal(
            f"names {_short(module)}.{_short(name)}, which reaches through a module into what it "
            f"imported; names in a file of weights have no dot; {SAVE_WEIGHTS}"
        )
    parts = module.split(".")
    if not all(part.isidentifier() for part in [*parts, name]):
        raise damaged(f"{_short(module)}.{_short(name)} is not a name")
    module = _OLD_MODULES.get(module, module)
    found = f"{module}.{name}"
    prefixes = {".".join([*parts, name][:n]) for n in range(1, len(parts) + 2)}
    if (
        parts[0] in REFUSED_MODULES
        or module in _REFUSED_ALONE
        or (parts[0] in ("builtins", "__builtin__") and name not in _PLAIN_TYPES)
        or prefixes & _REFUSED_NAMES
    ):
        if found == "types.SimpleNamespace":
            return Global(module, name)
        raise Refusal(
            f"names {found}, which could run anything and which weights do not need; nothing "
            f"of it was run; do not load the file elsewhere, and if you trust who made it, "
            f"{SAVE_WEIGHTS}"
        )
    return Global(module, name)


def _short(text: str) -> str:
    return repr(text[:80])[1:-1]
