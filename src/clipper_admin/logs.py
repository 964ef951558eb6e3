"""For models: what clients call the requests at hand, to be written in log lines of your own.

    import clipper_admin.logs as logs

    def predict(inputs):
        for each, request_id in zip(inputs, logs.request_ids()):
            ...

Models find this module in isolated environments, too. Outside of a model there are no requests.
"""

from __future__ import annotations

from clipper.container.request_ids import CURRENT

__all__ = ["request_ids"]


def request_ids() -> list[str]:
    """The header X-Request-Id of each query that the function is called with now, in their order.

    It is empty where the client gave none; and of queries that ask the same, one is asked, with the first one's id.
    """
    return CURRENT.request_ids()
