"""What takes how long, measured beside a floor in the same run, shown beside DESIGN's budgets.

Benchmarks, never timed tests: a busy machine changes the figures, so nothing fails on them.
"""
