"""A selection policy of one's own, as a user would write it."""


class LastLinked:
    """Asks the model that was linked last, and counts feedback."""

    def init(self, models):
        return {"seen": 0}

    def relink(self, state, models):
        return state

    def select(self, state, context, models, rng):
        return [(models[-1], 1.0)]

    def combine(self, state, context, outputs, missing):
        for output in outputs.values():
            return (output, 1.0)
        return None

    def observe(self, state, context, decision, losses):
        return {"seen": state["seen"] + 1}
