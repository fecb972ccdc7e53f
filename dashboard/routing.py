"""Pages and panels: what a module has to offer to be part of the app, and how it is found.

Every module in ``dashboard/pages/`` that has a ``PAGE`` is a page, every module in
``dashboard/panels/`` that has a ``PANEL`` a panel of the page of a unit. No list is added to.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

from dash import Dash
from dash.development.base_component import Component

if TYPE_CHECKING:
    from dashboard.context import Context
    from dashboard.store import OpenRun


@dataclass(frozen=True)
class Visit:
    """One look at a page.

    Attributes:
        context: What the app works with.
        path: Variable parts of the address, decoded. Untrusted.
        query: The query string, one value for each name. Untrusted.
        run: The opened run, where the address has a ``<run>``.
    """

    context: "Context"
    path: Mapping[str, str]
    query: Mapping[str, str]
    run: "OpenRun | None" = None


@dataclass(frozen=True)
class Page:
    """A page.

    Args:
        template: Its address; ``<name>`` is variable, and ``<run>`` opens that run first.
        title: In the browser's tab.
        layout: Draws it. A DissectError it raises is shown in one line, anything else is logged.
        callbacks: Registers its callbacks, once for each app.
        navigation: Its entry in the navigation; "" for none. Pages with a ``<run>`` as their only
            variable part are entries of a run.
        order: In the navigation, smallest first.
    """

    template: str
    title: str
    layout: Callable[[Visit], Component]
    callbacks: Callable[[Dash], None] | None = None
    navigation: str = ""
    order: int = 100


@dataclass(frozen=True)
class UnitVisit:
    """The unit of which a panel is drawn."""

    visit: Visit
    layer: str
    unit: int


@dataclass(frozen=True)
class Absent:
    """A panel that cannot be there, with the reason in one sentence."""

    reason: str


@dataclass(frozen=True)
class Panel:
    """A panel of the page of a unit.

    Args:
        title: Its heading.
        build: Draws what stands below the heading, or says why it is absent.
        callbacks: Registers its callbacks, once for each app.
        order: On the page, smallest first.
        live: Whether it asks the generator; it stands with the figures then, else at the end.
    """

    title: str
    build: Callable[[UnitVisit], Component | Absent]
    callbacks: Callable[[Dash], None] | None = None
    order: int = 100
    live: bool = False


@dataclass(frozen=True)
class Parts:
    """All pages and panels, in their order."""

    pages: Mapping[str, Page] = field(default_factory=dict)
    panels: Mapping[str, Panel] = field(default_factory=dict)


def discover() -> Parts:
    """Find all pages and panels by module name."""
    from dashboard import pages, panels  # noqa: PLC0415 - they import this module

    found = [_modules(package) for package in (pages, panels)]
    return Parts(
        *(
            dict(sorted(_named(modules, name).items(), key=lambda item: (item[1].order, item[0])))
            for modules, name in zip(found, ("PAGE", "PANEL"), strict=True)
        )
    )


def _modules(package: ModuleType) -> list[ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    return [importlib.import_module(f"{package.__name__}.{name}") for name in sorted(names)]


def _named(modules: list[ModuleType], name: str) -> dict[str, object]:
    return {module.__name__: getattr(module, name) for module in modules if hasattr(module, name)}
