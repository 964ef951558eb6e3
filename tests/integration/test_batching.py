"""How batches are sized can be changed while the model serves, and its replicas and cached outputs stay."""

import pytest

from tests.clipper_admin.managers.polling import eventually
from tests.integration.models import adding, noting
from tests.integration.rest import ask, ask_batch, metrics, outputs

pytestmark = pytest.mark.cluster


@pytest.fixture
def queries(query_addr):
    """Asks inputs that nobody asked before, all at once; each must be answered by the model."""
    asked = iter(range(10**6))

    def ask_new(name, count):
        values = [float(next(asked)) for _ in range(count)]
        assert outputs(ask_batch(query_addr, name, [[each] for each in values])) == values

    return ask_new


@pytest.fixture
def counted(query_addr):
    """How many batches a model has had, and how many queries in them, as its metrics tell."""

    def count(name):
        value, of_model = metrics(query_addr), {"model": name, "version": "1"}
        return [int(value(f"clipper_batch_size_{each}", **of_model)) for each in ("count", "sum")]

    return count


def pids(clipper, name):
    return {each.pid for each in clipper.cm.process_table() if each.program.startswith(f"{name}_")}


def test_batching_changes_while_the_model_serves(clipper, serve, query_addr, queries, counted, tmp_path):
    name = serve(noting(str(tmp_path / "seen")), batch_size=1)
    before = pids(clipper, name)
    queries(name, 50)
    assert counted(name) == [50, 50]

    clipper.set_batching(name, batch_size=-1)

    def larger():
        batches, asked = counted(name)
        queries(name, 200)
        more_batches, more_asked = counted(name)
        assert more_asked - asked == 200
        return more_batches - batches < 50

    eventually(larger)

    clipper.set_batching(name, "1", batch_size=1, batching="quantile")
    batches, asked = counted(name)
    queries(name, 30)
    assert counted(name) == [batches + 30, asked + 30]

    clipper.set_batching(name, batch_size=8)
    batches, asked = counted(name)
    queries(name, 64)
    more_batches, _ = counted(name)
    assert 8 <= more_batches - batches < 64

    info = clipper.get_model_info(name, 1)
    assert [info[each] for each in ("batch_size", "batching", "batch_delay_micros")] == [8, "quantile", 0]
    assert pids(clipper, name) == before
    calls = len((tmp_path / "seen").read_text().split())
    assert outputs([ask(query_addr, name, [0.0])]) == [0]
    assert len((tmp_path / "seen").read_text().split()) == calls  # from the cache, as before


def test_a_batch_that_waits_for_more_is_sent_in_time(clipper, serve, query_addr, queries, counted):
    """With a delay of a second and an objective of a tenth of one: the head of the queue is not made to miss it."""
    name = serve(adding(), slo=100_000, batch_delay_micros=1_000_000)
    queries(name, 1)
    clipper.set_batching(name, batch_delay_micros=-1)
    queries(name, 5)
    assert clipper.get_model_info(name, 1)["batch_delay_micros"] == -1
    assert counted(name)[1] == 6
