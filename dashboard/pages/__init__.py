"""The pages, one module each; every module here with a ``PAGE`` is part of the app.

``PAGE = Page(address, title, layout, callbacks=…, navigation=…, order=…)``, or ``RunPage(…)`` for a
page of a run; see ``dashboard.routing``. ``layout(visit)`` draws the page for ``visit.path`` and
``visit.query``; in a ``RunPage``, ``visit.run`` is the opened run. ``callbacks(app)`` registers its
callbacks, whose ids start with the module's name. In a callback,
``dashboard.context.current().store.open(run_id)`` gives the run.
"""
