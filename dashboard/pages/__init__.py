"""The pages, one module each, found by being here.

A module offers ``PAGE = Page(template, title, layout, callbacks=…, navigation=…, order=…)``; see
``dashboard.routing``. Its ``layout(visit)`` draws it for the address ``visit.path`` and the query
``visit.query``; ``visit.run`` is the opened run. Its ``callbacks(app)`` registers what it does
afterwards, with ids that begin with the module's name; within a callback,
``dashboard.context.current().store.open(run_id)`` gives the run.
"""
