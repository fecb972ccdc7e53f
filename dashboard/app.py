"""Makes the app: pages and panels are found, registered and guarded here."""

import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import dash
from dash.development.base_component import Component

from dashboard import context, media, presence, security, shell
from dashboard.context import Context
from dashboard.routing import Page, Visit, discover
from dashboard.settings import Settings
from dashboard.store import RunStore, UnknownRunError
from dissect.errors import DissectError

log = logging.getLogger("dashboard")
_TITLE = "gan-dissection"
_NOT_FOUND = Page(
    "/not-found",
    "Not found",
    lambda _visit: shell.failed("No such page", "The address is mistyped, or the page has moved."),
)
# As dash has it, but for the language, which readers aloud need.
_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
{%favicon%}
{%css%}
</head>
<body>
{%app_entry%}
<footer>
{%config%}
{%scripts%}
{%renderer%}
</footer>
</body>
</html>
"""


def create_app(runs_dir: str | Path, settings: Settings | None = None) -> dash.Dash:
    """The app over a folder of runs; ``app.server`` is the WSGI application.

    Args:
        runs_dir: Holds runs, or is one.
        settings: How it is served; see ``Settings``.
    """
    settings = settings or Settings()
    app = dash.Dash(
        "dashboard",
        assets_folder=str(Path(__file__).with_name("assets")),
        use_pages=True,
        pages_folder="",
        include_pages_meta=False,
        serve_locally=True,
        suppress_callback_exceptions=True,
        title=_TITLE,
        index_string=_INDEX,
        update_title=None,
        add_log_handler=False,
    )
    parts = discover()
    store = RunStore(runs_dir, most_open=settings.open_runs)
    context.attach(app.server, Context(store, settings, parts))
    # The registry belongs to dash, not to an app: an earlier app's pages are the same modules.
    for order, (module, page) in enumerate(_most_literal_first(parts.pages)):
        dash.register_page(
            module,
            path=None if "<" in page.template else page.template,
            path_template=page.template if "<" in page.template else None,
            title=f"{page.title} · {_TITLE}",
            name=page.title,
            order=order,
            layout=_guarded(page),
        )
    title = f"{_NOT_FOUND.title} · {_TITLE}"
    dash.register_page(
        "not_found_404", path=_NOT_FOUND.template, title=title, layout=_guarded(_NOT_FOUND)
    )
    for part in [*parts.pages.values(), *parts.panels.values()]:
        if part.callbacks is not None:
            part.callbacks(app)
    presence.register(app)
    app.layout = shell.document
    media.register(app.server)
    security.protect(app, settings)
    return app


def _most_literal_first(pages: dict[str, Page]) -> list[tuple[str, Page]]:
    """dash takes the first page whose template fits, and a variable part fits anything."""
    return sorted(pages.items(), key=lambda item: (-item[1].template.count("/"), item[0]))


def _guarded(page: Page) -> Callable[..., Component]:
    """A page's layout as dash calls it: with all of the path and the query as keywords."""
    names = {part.strip("<>") for part in page.template.split("/") if part.startswith("<")}

    def layout(**values: object) -> Component:
        # Names given twice come as a list; the last one counts.
        plain = {
            name: str(value[-1] if isinstance(value, list) and value else value)
            for name, value in values.items()
        }
        path = {name: unquote(plain.pop(name, "")) for name in names}
        visit = Visit(context.current(), path, plain)
        return draw(page, visit)

    return layout


def draw(page: Page, visit: Visit) -> Component:
    """A page in its frame, or in its place what went wrong."""
    try:
        if "run" not in visit.path:
            return shell.frame(visit, page, page.layout(visit))
        run = visit.context.store.open(visit.path["run"])
        opened = Visit(visit.context, visit.path, visit.query, run)
        return shell.frame(opened, page, page.layout(opened))
    except UnknownRunError as error:
        return shell.frame(visit, page, shell.failed("No such run", error))
    except DissectError as error:
        return shell.frame(visit, page, shell.failed("This cannot be shown", error))
    except Exception:
        log.exception("page %s failed", page.title)
        return shell.frame(
            visit, page, shell.failed("This page failed", "The log of the server says why.")
        )
