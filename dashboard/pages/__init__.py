"""The pages, one module each; every module here that has a ``PAGE`` is part of the app.

``PAGE = Page(address, title, layout, callbacks=…, navigation=…, order=…)``, or ``RunPage(…)`` for a
page of a run; see ``dashboard.routing``. ``layout(visit)`` draws the page for ``visit.path`` and
``visit.query``; a ``RunPage`` gets ``visit.run``, the opened run. ``callbacks(app)`` registers its
callbacks, whose ids begin with the module's name; within a callback,
``dashboard.context.current().store.open(run_id)`` gives the run.
"""
