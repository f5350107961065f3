"""Settings: budgets, a team's own options, and what is kept how long."""

from audit import admin_settings, redraw

redraw.settle()
admin_settings.draw()
