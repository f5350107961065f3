"""QA samples: portraits drawn by chance, judged blind, and what the verdicts say."""

from audit import qa

qa.draw()
