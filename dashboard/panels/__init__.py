"""Panels of a unit's page, one module each; every module here with a ``PANEL`` is shown.

``PANEL = Panel(title, build, callbacks=…, order=…)``; see ``dashboard.routing``.
"""
