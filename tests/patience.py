"""How long tests wait for a process or a page: for ever, were it not for those that hang.

A machine that is busy with something else takes ten times as long, which is no fault of the code.
"""

PROCESS = 600
"""Seconds until a process counts as hanging."""
PAGE = 240
"""Seconds until something that should appear on a page counts as missing."""
