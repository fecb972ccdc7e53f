"""Runs that are started from a page: processes of their own, told apart and followed by files.

Nothing here loads a model. A job is a folder ``RUNS/.jobs/NAME`` of the run ``RUNS/NAME`` to be;
what it says and what lies beside it is all that is known of it, so an app that is started again
sees what the one before saw.
"""
