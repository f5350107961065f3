"""People: who may come in, with which roles, and since when they were not here."""

from audit import admin_people, redraw

redraw.settle()
admin_people.draw()
