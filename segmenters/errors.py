"""The base class of all errors that a user can cause, and the error class of segmenters.

The base class is in the lowest package so that all others can share it; ``dissect.errors`` adds the
other kinds. A message is one line: the given value, the expected value, what to do.
"""


class DissectError(Exception):
    """A user's error, with a message of one line. The command line exits with 2."""


class SegmenterError(DissectError):
    """A segmenter that is unknown, cannot be loaded, or returns planes outside its vocabulary."""
