"""Library: rows against objects, both ways."""

from audit import library, redraw

redraw.settle()
library.draw()
