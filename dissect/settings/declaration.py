"""Declarations of settings, and the base class of dataclasses made of them."""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_type_hints

from dissect.errors import ConfigError, SettingError
from dissect.settings.kinds import Kind, Limits, kind_of, short
from segmenters.nearest import did_you_mean

_KEY = "setting"
_COUNTS = {"count_at_least", "count_at_most"}
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class _Declared:
    """Arguments of ``setting``, before the annotation adds the type and the class the name."""

    meaning: str
    default: object
    options: Mapping[str, Any]
    expected: str | None
    details: str
    flag: str | None
    metavar: str | None
    label: str | None
    reader: Callable[[str], object] | None
    repeated: bool
    secret: bool


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: Name of the parameter.
        meaning: One phrase for help texts and forms.
        details: Further sentences for the docstring.
        default: Default value; ``dataclasses.MISSING`` if the setting is required.
        kind: Accepted values; None if its class checks it.
        optional: Whether None is accepted.
        expected: Description of the accepted values in a message.
        flag: Flag of the command line.
        metavar: Placeholder after the flag.
        label: Label in a form.
        reader: Parses the text of the command line; None uses the kind's own parser.
        repeated: Whether the flag may be repeated; its values are joined.
        secret: Whether its value is hidden in messages.
        limits: Range of its numbers.
    """

    name: str
    meaning: str
    details: str
    default: object
    kind: Kind | None
    optional: bool
    expected: str
    flag: str
    metavar: str | None
    label: str
    reader: Callable[[str], object] | None
    repeated: bool
    secret: bool
    limits: Limits

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is dataclasses.MISSING

    @property
    def choices(self) -> tuple[str, ...]:
        """The accepted texts, if there is a fixed list."""
        return () if self.kind is None else self.kind.choices

    def check(self, value: object, *, name: str | None = None) -> object:
        """Check a value and return it in its plain form.

        Args:
            value: A value of any type.
            name: Name of the setting in a message; its own name if None.

        Raises:
            ConfigError: another type, or out of range.
        """
        if self.kind is None or (value is None and self.optional):
            return value
        try:
            return self.kind.accept(value)
        except ValueError:
            raise self._error(value, short(value), name) from None

    def read(self, text: str, *, name: str | None = None) -> object:
        """Parse a text of the command line.

        Raises:
            ConfigError: an invalid text.
        """
        try:
            return self._read(text)
        except (ValueError, KeyError):
            shown = text if _is_number(text) else short(text)
            raise self._error(text, shown, name) from None

    def _read(self, text: str) -> object:
        if self.kind is None:
            return self.reader(text) if self.reader else text
        return self.kind.accept(self.reader(text)) if self.reader else self.kind.read(text)

    def _error(self, value: object, shown: str, name: str | None) -> SettingError:
        if self.secret:
            return SettingError(name or self.name, f"is wrong; expected {self.expected}")
        # Suggestions are for single choices only, not for whole lists.
        hint = did_you_mean(value, self.choices) if isinstance(value, str) else ""
        return SettingError(name or self.name, f"is {shown}; {hint}expected {self.expected}")


def setting(
    meaning: str,
    *,
    default: Any = dataclasses.MISSING,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    multiple_of: int | None = None,
    count_at_least: int | None = None,
    count_at_most: int | None = None,
    choices: Collection[str] = (),
    pattern: str | None = None,
    longest: int | None = None,
    expected: str | None = None,
    details: str = "",
    flag: str | None = None,
    metavar: str | None = None,
    label: str | None = None,
    reader: Callable[[str], object] | None = None,
    repeated: bool = False,
    secret: bool = False,
) -> Any:
    """Declare a field of a class of settings; its annotation is the type.

    Args:
        meaning: One phrase without a capital or a full stop: "of the blur, in pixels".
        default: Default value; a field without one is required.
        at_least, at_most, above, below, multiple_of: Range of a number.
        count_at_least, count_at_most: Range of a tuple's length.
        choices: The only accepted texts.
        pattern: Regular expression that must match the whole text.
        longest: Largest number of characters of a text.
        expected: Replaces the phrase derived from type and range.
        details: Sentences for the docstring only.
        flag: Flag of the command line; the name with hyphens if None.
        metavar: Placeholder after the flag.
        label: Label in a form; the flag's words if None.
        reader: Parses the text of the command line, if values are not separated by commas; raises
            ValueError.
        repeated: Whether the flag may be repeated; the values of a tuple are then joined.
        secret: Whether its value is hidden in messages and in the repr.
    """
    limits = Limits(at_least, at_most, above, below, multiple_of)
    options: dict[str, Any] = {
        "limits": limits,
        "counts": Limits(count_at_least, count_at_most),
        "choices": tuple(choices),
        "pattern": pattern,
    }
    if longest is not None:
        options["longest"] = longest
    declared = _Declared(
        meaning=meaning, default=default, options=options, expected=expected, details=details,
        flag=flag, metavar=metavar, label=label, reader=reader, repeated=repeated,
        secret=secret,
    )  # fmt: skip
    return field(default=default, repr=not secret, metadata={_KEY: declared})


def like(other: "type[Settings]", name: str, *, default: Any, **changes: Any) -> Any:
    """Declare a field like one of another class, with changes.

    Args:
        other: The class that declares it.
        name: Name of its setting.
        default: Default value; ``dataclasses.MISSING`` makes it required.
        **changes: Arguments of ``setting``; ``at_least`` and so on replace one side of the range.
    """
    declared: _Declared = _fields(other)[name].metadata[_KEY]
    options = dict(declared.options)
    sides = {one.name for one in dataclasses.fields(Limits)} & set(changes)
    if sides:
        own = {side: changes.pop(side) for side in sides}
        options["limits"] = dataclasses.replace(options["limits"], **own)
        changes.setdefault("expected", None)
    counts = {side.removeprefix("count_"): changes.pop(side) for side in _COUNTS & set(changes)}
    options["counts"] = dataclasses.replace(options["counts"], **counts)
    for option in set(options) & set(changes):
        options[option] = changes.pop(option)
    declared = dataclasses.replace(declared, default=default, options=options, **changes)
    return field(default=default, repr=not declared.secret, metadata={_KEY: declared})


@dataclass_transform(frozen_default=True, field_specifiers=(setting, like))
class Settings:
    """Base of classes of settings: frozen dataclasses whose fields are checked on creation.

    A subclass declares its fields with ``setting`` and overrides ``check`` for conditions on
    several fields. Keywords of the class statement go to ``dataclasses.dataclass``.

    Raises:
        ConfigError: a value of a wrong type or out of its range, an unknown or a missing name.
    """

    declared: ClassVar[Mapping[str, Setting]] = {}
    """The settings of the class, in order. Other fields are not included."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__()
        about = cls.__doc__ or ""
        dataclass(frozen=True, **options)(cls)
        hints = get_type_hints(cls)
        cls.declared = {
            name: _complete(name, hints[name], one.metadata[_KEY])
            for name, one in _fields(cls).items()
            if _KEY in one.metadata
        }
        cls.__doc__ = _with_arguments(about, cls.declared.values())
        cls.__init__ = _refuse_unknown(cls, cls.__init__)

    def __post_init__(self) -> None:
        for name, one in self.declared.items():
            object.__setattr__(self, name, one.check(getattr(self, name)))
        self.check()

    def check(self) -> None:
        """Check conditions on several settings; to be overridden.

        Raises:
            ConfigError: contradictory settings.
        """


def shows_settings(
    declared: "type[Settings]", *, without: Collection[str] = ()
) -> Callable[[_Function], _Function]:
    """Replace ``**settings`` in the signature of a function by the settings of a class.

    ``help`` and notebooks then show and complete them; nothing else changes.
    """
    shown = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.required else one.default,
            annotation=declared.__annotations__.get(one.name, inspect.Parameter.empty),
        )
        for one in declared.declared.values()
        if one.name not in without
    ]

    def show(function: _Function) -> _Function:
        signature = inspect.signature(function)
        own = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        function.__signature__ = signature.replace(parameters=[*own, *shown])  # type: ignore[attr-defined]
        return function

    return show


def check_names(
    given: Collection[str], known: Collection[str], *, of: str, required: Collection[str] = ()
) -> None:
    """Raise an error for unknown names, with the nearest known one, or for missing names.

    Args:
        given: Names of the given settings.
        known: Names that exist.
        of: Name of their owner: ``RunConfig``, ``dissect()``.
        required: The required ones of ``known``.

    Raises:
        ConfigError: an unknown or missing name.
    """
    for name in given:
        if name not in known:
            raise ConfigError(
                f"{short(name).strip(chr(39))} is not a setting of {of}; "
                f"{did_you_mean(name, known)}expected {', '.join(known)}"
            )
    missing = [name for name in required if name not in given]
    if missing:
        raise ConfigError(f"{of} was given no {' and no '.join(missing)}; expected a value")


def _fields(cls: "type[Settings]") -> dict[str, dataclasses.Field]:
    return {one.name: one for one in dataclasses.fields(cls)}  # type: ignore[arg-type]


def _complete(name: str, annotation: object, declared: _Declared) -> Setting:
    kind, optional = kind_of(annotation, **declared.options)
    flag = declared.flag or f"--{name.replace('_', '-')}"
    return Setting(
        name=name,
        meaning=declared.meaning,
        details=declared.details,
        default=declared.default,
        kind=kind,
        optional=optional,
        expected=declared.expected or ("another value" if kind is None else kind.expected),
        flag=flag,
        metavar=declared.metavar,
        label=declared.label or flag.strip("-").replace("-", " ").capitalize(),
        reader=declared.reader,
        repeated=declared.repeated,
        secret=declared.secret,
        limits=declared.options["limits"],
    )


def _refuse_unknown(cls: "type[Settings]", init: Callable[..., None]) -> Callable[..., None]:
    """``__init__`` that raises a ConfigError, not a TypeError, for a wrong name."""
    fields = [one for one in dataclasses.fields(cls) if one.init]  # type: ignore[arg-type]
    names = [one.name for one in fields]
    by_position = [one.name for one in fields if not one.kw_only]
    required = [
        one.name
        for one in fields
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
    ]

    @wraps(init)
    def checked(self: Settings, *values: object, **settings: object) -> None:
        placed = by_position[: len(values)]
        check_names([*placed, *settings], names, of=cls.__name__, required=required)
        init(self, *values, **settings)

    return checked


def _with_arguments(about: str, declared: Collection[Setting]) -> str:
    """A docstring with an ``Args`` section from the declarations."""
    lines = []
    for one in declared:
        parts = [one.meaning[:1].upper() + one.meaning[1:], one.details.rstrip(".")]
        parts += [] if one.kind is None else [f"Expected: {one.expected}"]
        parts += [] if one.required else [f"Default: {one.default!r}"]
        lines.append(f"        {one.name}: {'. '.join(part for part in parts if part)}.")
    first, _, rest = about.partition("\n\n")
    parts = [first.rstrip(), "    Args:\n" + "\n".join(lines), rest.rstrip()]
    return "\n\n".join(part for part in parts if part)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return len(text) < 30
