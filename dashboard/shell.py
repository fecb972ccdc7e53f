"""The frame of every page: navigation, the name of the run, error pages."""

import dash_mantine_components as dmc
from dash import dcc, html, page_container
from dash.development.base_component import Component, ComponentType

from dashboard.callbacks import problem
from dashboard.components.attributes import aria
from dashboard.links import run_href
from dashboard.routing import Page, RunPage, RunVisit, Visit
from dashboard.run_watch import run_watch


def document() -> Component:
    """The layout of the app; pages are put inside."""
    return dmc.MantineProvider(
        [html.A("Skip to the page", href="#page", className="skip"), page_container],
        defaultColorScheme="auto",
        theme={
            "primaryColor": "blue",
            "fontFamily": "system-ui, sans-serif",
            "defaultRadius": 4,
            # Enter takes the first entry that contains the typed text.
            "components": {"Select": {"defaultProps": {"selectFirstOptionOnChange": True}}},
        },
    )


def frame(visit: Visit, page: Page | RunPage, content: ComponentType) -> Component:
    """A page within its navigation; if ``visit`` has a run, including the run's."""
    run = visit.run if isinstance(visit, RunVisit) else None
    return html.Div(
        [
            html.Header(navigation(visit, page, run.id if run else None), className="top"),
            run_watch(run) if run else None,
            html.Main(content, id="page", tabIndex=-1),
        ],
        className="frame",
    )


def navigation(visit: Visit, page: Page | RunPage, run_id: str | None) -> list[Component]:
    """The app's entries, then those of the run."""
    pages = [entry for entry in visit.context.parts.pages.values() if entry.navigation]
    links = [_link(e, e.template, page) for e in pages if "<" not in e.template]
    parts: list[Component] = [
        html.Nav(links, **aria(label="Dashboard")),
        dmc.ColorSchemeToggle(
            lightIcon="☀", darkIcon="☾", variant="subtle", **aria(label="Light or dark")
        ),
    ]
    if run_id is not None:
        own = [e for e in pages if isinstance(e, RunPage) and e.variables == ["run"]]
        links = [_link(e, run_href(run_id) + e.address, page) for e in own]
        parts.append(html.Nav([html.B(run_id), *links], **aria(label="Run")))
    return parts


def _link(entry: Page | RunPage, href: str, page: Page | RunPage) -> Component:
    if entry is not page:
        return dcc.Link(entry.navigation, href=href)
    # A link to the current page reloads it: its controls change the address without dash.
    return html.A(entry.navigation, href=href, **aria(current="page"))


def failed(title: str, mistake: Exception | str) -> Component:
    """Shown instead of a page that cannot be drawn."""
    return html.Section(
        [
            html.H1(title),
            problem(mistake),
            html.P(dcc.Link("All runs", href="/")),
        ],
        id="page-failed",
    )
