"""docs/wire.md: who is refused, and who is not. Its bytes are compared with the code in ``tests/clipper/rpc``."""

import pytest

from clipper.frontend.replicas import ConnectedReplicas
from clipper.rpc.listener import Refused
from clipper.rpc.wire import Hello
from tests.documents import read

TEXT = " ".join(read("docs/wire.md").split())


class Executor:
    """Knows that ``sum:1`` is registered for doubles."""

    def expected_input_type(self, version):
        return "doubles" if (version.name, version.version) == ("sum", "1") else None

    def replica_joined(self, version, replica, now):
        pass


@pytest.fixture
def replicas():
    return ConnectedReplicas(Executor(), "frontend-0", lambda records: None)


def test_a_version_that_is_not_registered_is_welcome(replicas):
    assert "A version that is not registered is welcome" in TEXT
    replicas.admit(Hello("unheard-of", "1", "doubles"))


def test_the_reasons_to_refuse(replicas):
    assert "the version is registered with another input type, its replica number is connected already" in TEXT
    with pytest.raises(Refused, match="registered with input type doubles"):
        replicas.admit(Hello("sum", "1", "strings"))
    replicas.joined(object(), Hello("sum", "1", "doubles", replica_id=3))
    with pytest.raises(Refused, match="replica 3 of sum:1 is already connected"):
        replicas.admit(Hello("sum", "1", "doubles", replica_id=3))
