"""Command-line options, derived from declarations of settings."""

import argparse
from collections.abc import Collection, Sequence
from typing import Any

from dissect.settings.declaration import Setting, Settings


class _Take(argparse.Action):
    """Parses and checks a setting as soon as its option is read."""

    def __init__(self, *, setting: Setting, **options: Any) -> None:
        super().__init__(**options)
        self.setting = setting

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        del parser, option_string
        name = self.option_strings[0] if self.option_strings else self.metavar
        found: Any = self.setting.read(str(values), name=str(name))
        if self.setting.repeated:
            found = (*getattr(namespace, self.dest), *found)
        setattr(namespace, self.dest, found)


def add_settings(
    parser: argparse.ArgumentParser,
    declared: type[Settings],
    *names: str,
    without: Collection[str] = (),
    positional: Collection[str] = (),
) -> None:
    """Add an option for each setting of a class.

    Args:
        parser: Parser of the command.
        declared: The class.
        *names: Names of the settings, in the order of the help; all of them if none is given.
        without: Names without an option.
        positional: Names of positional settings.
    """
    for name in names or declared.declared:
        if name not in without:
            _add(parser, declared.declared[name], positional=name in positional)


def given_settings(options: argparse.Namespace, declared: type[Settings]) -> dict[str, Any]:
    """The given values of a class's settings that have options in the command."""
    return {name: getattr(options, name) for name in declared.declared if hasattr(options, name)}


def _add(parser: argparse.ArgumentParser, one: Setting, *, positional: bool) -> None:
    flags = dict(parser.get_default("flags") or {})
    if positional:
        name = one.metavar or one.name.upper()
        parser.add_argument(one.name, action=_Take, setting=one, metavar=name, help=_help(one))
        parser.set_defaults(flags={**flags, one.name: name})
        return
    parser.set_defaults(flags={**flags, one.name: one.flag})
    if one.default is False:
        parser.add_argument(one.flag, dest=one.name, action="store_true", help=_help(one))
        return
    parser.add_argument(
        one.flag,
        dest=one.name,
        action=_Take,
        setting=one,
        default=None if one.required else one.default,
        required=one.required,
        metavar=one.metavar or _placeholder(one),
        help=_help(one),
    )


def _placeholder(one: Setting) -> str:
    return "|".join(one.choices) if one.choices else one.flag.strip("-").replace("-", "_").upper()


def _help(one: Setting) -> str:
    shown = one.default
    if one.required or shown is None or shown is False or shown == ():
        text = one.meaning
    else:
        text = f"{one.meaning} (default: {shown})"
    return text.replace("%", "%%")
