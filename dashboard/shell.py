"""What stands around every page: navigation, the run's name, what is shown when a page fails."""

from urllib.parse import quote

import dash_mantine_components as dmc
from dash import dcc, html, page_container
from dash.development.base_component import Component

from dashboard.routing import Page, Visit


def document() -> Component:
    """The layout of the app; pages are put inside."""
    return dmc.MantineProvider(
        [html.A("Skip to the page", href="#page", className="skip"), page_container],
        defaultColorScheme="auto",
        theme={"primaryColor": "blue", "fontFamily": "system-ui, sans-serif"},
    )


def frame(visit: Visit, page: Page, content: object, *, run_id: str | None = None) -> Component:
    """A page within its navigation."""
    return html.Div(
        [
            html.Header(navigation(visit, page, run_id), className="top"),
            html.Main(content, id="page", tabIndex=-1),
        ],
        className="frame",
    )


def navigation(visit: Visit, page: Page, run_id: str | None) -> list[Component]:
    """The app's entries, then those of the run."""
    pages = [entry for entry in visit.context.parts.pages.values() if entry.navigation]
    entries = [entry for entry in pages if "<" not in entry.template]
    links = [_link(entry, entry.template, page) for entry in entries]
    parts: list[Component] = [
        html.Nav(links, **{"aria-label": "Dashboard"}),
        dmc.ColorSchemeToggle(
            lightIcon="☀", darkIcon="☾", variant="subtle", **{"aria-label": "Light or dark"}
        ),
    ]
    if run_id is not None:
        own = [
            entry for entry in pages if entry.template.count("<") == 1 and "<run>" in entry.template
        ]
        links = [_link(e, e.template.replace("<run>", quote(run_id)), page) for e in own]
        parts.append(html.Nav([html.B(run_id), *links], **{"aria-label": "Run"}))
    return parts


def _link(entry: Page, href: str, page: Page) -> Component:
    here = {"aria-current": "page"} if entry is page else {}
    # dcc.Link takes no aria attributes; the list item carries them.
    return html.Span(dcc.Link(entry.navigation, href=href), **here)


def failed(title: str, message: str) -> Component:
    """What is shown in place of a page that cannot be drawn."""
    return html.Section(
        [
            html.H1(title),
            html.P(message, className="failed", role="alert"),
            html.P(dcc.Link("All runs", href="/")),
        ]
    )
