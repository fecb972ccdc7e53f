"""Form fields derived from declarations of settings: label, help, range and default."""

from typing import Any

import dash_mantine_components as dmc
from dash.development.base_component import Component

from dissect.errors import ConfigError, SettingError
from dissect.settings import Setting, Settings
from dissect.settings.kinds import Number, Switch, Text, Whole


def setting_field(one: Setting, page: str) -> Component:
    """The field of a setting; its id is ``{page}-{name of the setting}``."""
    about: dict[str, Any] = {
        "id": f"{page}-{one.name}",
        "label": one.label,
        "description": one.meaning,
    }
    value: Any = None if one.required else one.default
    if isinstance(one.kind, Switch):
        return dmc.Switch(**about, checked=bool(value))
    if isinstance(one.kind, Whole | Number):
        limits: dict[str, Any] = {"min": one.limits.at_least, "max": one.limits.at_most}
        return dmc.NumberInput(
            **about,
            **{side: limit for side, limit in limits.items() if limit is not None},
            value="" if value is None else value,
            allowDecimal=isinstance(one.kind, Number),
            # A wrong number gives a message; it is not replaced by another one.
            clampBehavior="none",
        )
    if isinstance(one.kind, Text) and one.choices:
        return dmc.Select(
            **about, data=list(one.choices), value=value, allowDeselect=one.optional,
            clearable=one.optional,
        )  # fmt: skip
    return dmc.TextInput(**about, value="" if value is None else str(value))


def read_field(one: Setting, given: object) -> object:
    """Read a browser's value of a setting; the class of settings still has to check it.

    An empty field of an optional setting means its default; a text has the syntax of the command
    line.

    Raises:
        ConfigError: a text that is not a value of the setting.
    """
    if not one.required and (given is None or given == ""):
        return one.default
    if isinstance(given, str) and not isinstance(one.kind, Text | Whole | Number):
        return one.read(given)
    return given


def with_labels(error: ConfigError, declared: type[Settings]) -> ConfigError:
    """The error, with a setting named by its label in the form."""
    if isinstance(error, SettingError) and error.name in declared.declared:
        return SettingError(declared.declared[error.name].label, error.problem)
    return error
