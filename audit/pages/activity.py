"""Activity: what people and the studio did."""

from audit import activity, redraw

redraw.settle()
activity.draw()
