"""How well applications choose among models, and combine them, by feedback (the paper, sections 5 and 7).

All of it: ``python -m benchmarks.selection``. docs/selection.md says what each experiment shows.
"""
