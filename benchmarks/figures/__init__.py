"""The paper's tables and figures, measured again here: ``python -m benchmarks.figures.fig4``.

All of them: ``python -m benchmarks.figures [--quick]``. Each prints our figures beside the paper's (from
``paper.md`` section B, most of them out of the authors' raw results) and says what differs in the set-up.
"""
