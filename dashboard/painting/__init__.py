"""The page on which images are painted: what it shows, and what its browser may send.

``history`` holds the strokes with undo and redo, ``state`` reads addresses and fields, ``layout``
draws the page, ``callbacks`` answers it.
"""
