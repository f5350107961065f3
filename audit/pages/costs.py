"""Costs: by day, provider, model, type, person and character; the three amounts, budgets, models side by side."""

from audit import costs

costs.draw()
