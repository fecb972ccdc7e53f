"""Pages and panels, their discovery, and the context that they share.

Every module in ``dashboard/pages/`` with a ``PAGE`` is a page, every module in
``dashboard/panels/`` with a ``PANEL`` a panel of a unit's page. There is no list to extend.
"""

import atexit
import importlib
import pkgutil
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from dash import Dash
from dash.development.base_component import Component

from dashboard.settings import Settings
from dashboard.store import OpenRun, RunStore

Service = TypeVar("Service")
RUN_TEMPLATE = "/run/<run>"


@dataclass(frozen=True)
class Visit:
    """One request of a page.

    Attributes:
        context: Context of the app.
        path: Variable parts of the address, decoded. Untrusted.
        query: The query string, one value per name. Untrusted.
    """

    context: "Context"
    path: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(frozen=True)
class RunVisit(Visit):
    """One request of a page of a run.

    Attributes:
        run: The opened run.
    """

    run: OpenRun


@dataclass(frozen=True)
class UnitVisit(RunVisit):
    """One request of the page of a unit, for its panels."""

    layer: str
    unit: int


@runtime_checkable
class _Closes(Protocol):
    """A service that ends its processes or closes its files."""

    def close(self) -> None: ...


AnyVisit = TypeVar("AnyVisit", bound=Visit)


@dataclass(frozen=True)
class BasePage(Generic[AnyVisit]):
    """Base of pages; see ``Page`` and ``RunPage``.

    Args:
        address: Address of the page; ``<name>`` is variable.
        title: Title of the browser's tab; ``{name}`` is the variable part of that name.
        layout: Draws it. A DissectError is shown in one line, any other exception is logged.
        callbacks: Registers its callbacks, once for each app.
        navigation: Its entry in the navigation; "" for none.
        order: Position in the navigation, smallest first.
    """

    address: str
    title: str
    layout: Callable[[AnyVisit], Component]
    callbacks: Callable[[Dash], None] | None = None
    navigation: str = ""
    order: int = 100

    @property
    def template(self) -> str:
        """The whole address."""
        return self.address

    @property
    def variables(self) -> list[str]:
        """Names of the variable parts of the address."""
        return re.findall("<([a-z]+)>", self.template)


class Page(BasePage[Visit]):
    """A page of the dashboard as a whole."""


class RunPage(BasePage[RunVisit]):
    """A page of a run, which is opened first; ``address`` follows ``/run/<run>``."""

    @property
    def template(self) -> str:
        """The whole address."""
        return RUN_TEMPLATE + self.address


@dataclass(frozen=True)
class Absent:
    """A panel that is not available, with the reason in one sentence."""

    reason: str


@dataclass(frozen=True)
class Panel:
    """A panel of a unit's page.

    Args:
        title: Its heading.
        build: Draws the part below the heading, or returns ``Absent``.
        callbacks: Registers its callbacks, once for each app.
        order: Position on the page, smallest first.
        live: Whether it uses the generator; it is then placed with the figures, else at the end.
    """

    title: str
    build: Callable[[UnitVisit], Component | Absent]
    callbacks: Callable[[Dash], None] | None = None
    order: int = 100
    live: bool = False


@dataclass(frozen=True)
class Parts:
    """All pages and panels, in order."""

    pages: Mapping[str, Page | RunPage] = field(default_factory=dict)
    panels: Mapping[str, Panel] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """The runs, settings and parts of an app, and the services that it started.

    Attributes:
        store: The runs.
        settings: Server settings.
        parts: Pages and panels.
    """

    store: RunStore
    settings: Settings
    parts: Parts
    _services: dict[str, Any] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def service(self, name: str, make: Callable[[], Service]) -> Service:
        """An owner of processes or files for the app (renderers, jobs, …), created on first use.

        If it has a ``close``, it is closed with the app, at the latest with the process.
        """
        with self._lock:
            if name not in self._services:
                made = self._services[name] = make()
                if isinstance(made, _Closes):
                    atexit.register(made.close)
            return self._services[name]

    def close(self) -> None:
        """End the processes of the app."""
        with self._lock:
            services = list(self._services.values())
        for service in services:
            if isinstance(service, _Closes):
                service.close()


def discover() -> Parts:
    """Find all pages and panels by module name."""
    from dashboard import pages, panels  # noqa: PLC0415 - they import this module

    found = [_modules(package) for package in (pages, panels)]
    in_order: list[dict[str, Any]] = [
        dict(sorted(_named(modules, name).items(), key=lambda item: (item[1].order, item[0])))
        for modules, name in zip(found, ("PAGE", "PANEL"), strict=True)
    ]
    return Parts(pages=in_order[0], panels=in_order[1])


def _modules(package: ModuleType) -> list[ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    return [importlib.import_module(f"{package.__name__}.{name}") for name in sorted(names)]


def _named(modules: list[ModuleType], name: str) -> dict[str, Any]:
    return {module.__name__: getattr(module, name) for module in modules if hasattr(module, name)}
