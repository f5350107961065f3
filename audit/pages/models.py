"""Models: on or off, priority, what they can do, what they cost, and what a change does to routing."""

from audit import admin_models, redraw

redraw.settle()
admin_models.draw()
