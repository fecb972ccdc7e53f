"""The page ``/run/<run>/paint``: an image, a brush, and what comes of it."""

from dashboard.painting.callbacks import register
from dashboard.painting.layout import layout
from dashboard.routing import Page

PAGE = Page("/run/<run>/paint", "Paint", layout, callbacks=register, navigation="Paint", order=60)
