"""Runs and effects started from a page: one queue of processes, tracked by files.

Nothing in here loads a model. A job is a signed record in the user's own state folder. Its state
follows only from this record, the files of its process, and the result in the folder of runs. So a
restarted dashboard sees the same jobs. Files in a folder of runs are never read as jobs.
"""
