"""Providers: keys, health, limits, what failed last, and a pause by hand."""

from audit import admin_providers, redraw

redraw.settle()
admin_providers.draw()
