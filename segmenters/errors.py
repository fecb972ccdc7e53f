"""The root of every error a user can cause, and the kind that segmenters raise.

The root lives in the lowest package so that all others can share it; ``dissect.errors`` adds the
other kinds. A message is one line: what was given, what was expected, what to do.
"""


class DissectError(Exception):
    """A user's mistake, with a message of one line. The command line exits with 2."""


class SegmenterError(DissectError):
    """A segmenter that is unknown, cannot be loaded, or gave planes that break its vocabulary."""
