"""System: schema, workers, queue, schedules, store, providers, settings, news, and a test portrait through all of it."""

from audit import redraw, system

redraw.settle()
system.draw()
