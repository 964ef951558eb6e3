"""What can go wrong between a user and a cluster."""


class ClipperException(Exception):
    """Something was refused or failed; ``msg`` says what, to what, and what to do."""

    def __init__(self, msg: str, *args: object) -> None:
        super().__init__(msg, *args)
        self.msg = msg

    def __str__(self) -> str:
        return self.msg


class UnconnectedException(ClipperException):
    """A method that needs a cluster was called before ``connect`` or ``start_clipper``."""

    def __init__(self) -> None:
        self.message = (
            "No connection to Clipper cluster. Call ClipperConnection.connect to connect to an existing cluster "
            "or ClipperConnnection.start_clipper to create a new one"
        )
        super().__init__(self.message)


class ClusterExistsException(ClipperException):
    """A cluster that is to be started runs already."""

    def __init__(self, cluster: str) -> None:
        super().__init__(
            f"Cluster {cluster} cannot be started because it already exists. "
            "Please use ClipperConnection.connect() to connect to it."
        )


class IncompleteClusterException(ClipperException):
    """Parts of a cluster run and others, which it can't do without, are gone. ``lacks``: these, in words."""

    def __init__(self, cluster: str, lacks: str) -> None:
        self.lacks = lacks
        super().__init__(
            f"Cluster {cluster} runs without {lacks}. Call ClipperConnection.start_clipper(), or `clipper start`, "
            "which adds what is missing."
        )
