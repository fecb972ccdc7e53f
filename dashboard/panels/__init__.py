"""Panels of the page of a unit, one module each, found by being here.

A module offers ``PANEL = Panel(title, build, callbacks=…, order=…)``; see ``dashboard.routing``.
"""
