"""Runs and effects that are started from a page: one queue of processes, followed by files.

Nothing here loads a model. A job is a signed record in the user's own state folder; what it says,
what its process wrote beside it, and the result in the folder of runs are all that is known of it,
so a dashboard that is started again sees what the one before saw. Nothing in a folder of runs is
ever read as work.
"""
