"""Stuck jobs: why, what recovery would do, and what a person may do."""

from audit import actions, redraw, stuck

redraw.settle()
actions.flash()
stuck.draw()
