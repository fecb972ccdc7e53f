"""The paint page: its layout, its callbacks, and checks of what a browser sends.

``history`` holds the strokes with undo and redo, ``state`` reads addresses and fields, ``layout``
draws the page, ``callbacks`` answers it.
"""
