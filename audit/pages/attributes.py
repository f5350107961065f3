"""Attribute images: how complete they are, product's review, making what is missing, and the options themselves."""

from audit import attributes

attributes.draw()
