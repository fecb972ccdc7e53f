"""Every run found."""

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.routing import Page, Visit


def layout(visit: Visit) -> Component:
    """The list."""
    return html.Div(
        [
            html.H1("Runs"),
            html.Ul(
                [
                    html.Li(dcc.Link(entry.name, href=f"/run/{entry.id}"))
                    for entry in visit.context.store.entries()
                ]
            ),
        ]
    )


PAGE = Page("/", "Runs", layout, navigation="Runs", order=0)
