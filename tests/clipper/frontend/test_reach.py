"""What is known of a store by the last attempts."""

import logging
from datetime import UTC, datetime

from clipper.frontend.reach import NEITHER, READING, WRITING, Reach


def test_trouble_lasts_until_all_that_failed_has_worked(caplog):
    reach = Reach("it is lost", "it is back")
    began = datetime.now(UTC).replace(microsecond=0)
    with caplog.at_level(logging.WARNING):
        reach.worked(READING)
        assert reach.up
        assert not reach.was_lost_within(5)
        reach.failed(WRITING, "full")
        since = reach.trouble.since
        for doing, cause in ((READING, "gone"), (WRITING, "still full")):
            reach.failed(doing, cause)
        told = reach.trouble.to_json()
        assert told["causes"] == {"writing": "still full", "reading": "gone"}
        assert began <= datetime.fromisoformat(told["since"]) <= datetime.now(UTC)
        for doing in (READING, NEITHER, READING):
            reach.worked(doing)
        assert reach.trouble.to_json()["causes"] == {"writing": "still full"}
        assert reach.trouble.since == since
        assert reach.was_lost_within(5)
        reach.worked(WRITING)
    assert reach.up
    assert reach.was_lost_within(5)
    assert not reach.was_lost_within(0)
    assert caplog.messages == ["it is lost: full", "it is back"]
