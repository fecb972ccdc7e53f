"""Repair: units that draw what is not in real images, and what changes without them."""
