"""Measured effects as parts of a page."""
