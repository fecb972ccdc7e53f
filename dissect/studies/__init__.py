"""Studies: what edits do to the images, measured and kept with the run.

What a unit matches is a hint; what happens without it is evidence.
"""
