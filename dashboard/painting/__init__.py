"""The paint page: its layout, its callbacks, and checks of a browser's values.

``history`` holds the strokes with undo and redo, ``state`` parses addresses and fields, ``layout``
draws the page, ``callbacks`` handles it.
"""
