"""Creates the app: finds pages and panels, registers them and shows their errors."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote

import dash
from dash.development.base_component import Component

from dashboard import context, media, run_watch, security, shell
from dashboard.context import Context
from dashboard.routing import Page, RunPage, RunVisit, Visit, discover
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
# Dash's own template, plus the language, which screen readers need.
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
        runs_dir: A folder of runs, or one run.
        settings: Server settings; see ``Settings``.
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
        update_title="",  # leaves the title as it is
        add_log_handler=False,
    )
    parts = discover()
    store = RunStore(runs_dir, most_open=settings.open_runs)
    context.attach(app.server, Context(store, settings, parts))
    # The registry is global in dash, not per app: an earlier app has the same page modules.
    for order, (module, page) in enumerate(_most_literal_first(parts.pages)):
        dash.register_page(
            module,
            path=None if "<" in page.template else page.template,
            path_template=page.template if "<" in page.template else None,
            title=_title_of(page),
            name=module,
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
    run_watch.register(app)
    app.layout = shell.document
    media.register(app.server)
    security.protect(app, settings)
    return app


def _title_of(page: Page | RunPage) -> Callable[..., str]:
    """The title of the browser's tab, called by dash with the variable parts of the address."""

    def title(**values: object) -> str:
        names = {name: unquote(str(values.get(name, ""))) for name in page.variables}
        run = [names["run"]] if isinstance(page, RunPage) else []
        return " · ".join([page.title.format_map(names), *run, _TITLE])

    return title


def _most_literal_first(
    pages: Mapping[str, Page | RunPage],
) -> list[tuple[str, Page | RunPage]]:
    """dash takes the first page whose template matches, and a variable part matches anything."""
    return sorted(pages.items(), key=lambda item: (-item[1].template.count("/"), item[0]))


def _guarded(page: Page | RunPage) -> Callable[..., Component]:
    """A page's layout, called by dash with all of the path and the query as keywords."""

    def layout(**values: object) -> Component:
        # A repeated name comes as a list; the last value counts.
        plain = {
            name: str(value[-1] if isinstance(value, list) and value else value)
            for name, value in values.items()
        }
        path = {name: unquote(plain.pop(name, "")) for name in page.variables}
        visit = Visit(context.current(), path, plain)
        return draw(page, visit)

    return layout


def draw(page: Page | RunPage, visit: Visit) -> Component:
    """A page in its frame, or an error in its place."""
    try:
        if not isinstance(page, RunPage):
            return shell.frame(visit, page, page.layout(visit))
        run = visit.context.store.open(visit.path["run"])
        opened = RunVisit(visit.context, visit.path, visit.query, run)
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
