"""Repair: finds units that draw what real images do not contain, and measures their removal."""
