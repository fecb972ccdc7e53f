"""Panels of the page of a unit, one module each; every module here with a ``PANEL`` is shown.

``PANEL = Panel(title, build, callbacks=…, order=…)``; see ``dashboard.routing``.
"""
