"""Overview: is anything wrong, what first, what does it cost."""

from audit import overview, redraw

redraw.settle()
overview.draw()
