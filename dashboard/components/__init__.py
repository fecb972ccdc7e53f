"""Pieces of pages: units, layers, figures."""
