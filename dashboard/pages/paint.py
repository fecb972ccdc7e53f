"""The page ``/run/<run>/paint``: edit an image with a brush."""

from dashboard.painting.callbacks import register
from dashboard.painting.layout import layout
from dashboard.routing import RunPage

PAGE = RunPage("/paint", "Paint", layout, callbacks=register, navigation="Paint", order=60)
