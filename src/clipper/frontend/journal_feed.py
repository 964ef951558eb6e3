"""Keeps a frontend in step with the journal, without the event loop ever waiting for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from clipper.decisions import Decisions, Made, records_of
from clipper.errors import StoreError
from clipper.frontend.backlog import Backlog
from clipper.frontend.following import AT_ONCE, Following
from clipper.frontend.outbox import FAILED, Outbox, Written
from clipper.frontend.reach import NEITHER, READING, WRITING, Reach
from clipper.frontend.store_thread import StoreThread
from clipper.selection.states import States, users_of
from clipper.store.journal import DecisionRecord, Entry, Feedback, Journal, StateKey, StoredState, wall_clock

log = logging.getLogger(__name__)

KEEP_SECONDS: Final = 0.1
"""Between two rounds in which decisions go to the journal."""

RECALLS: Final = 5
"""So many rounds a decision is looked for: after two, other frontends have written theirs."""

SAVE_SECONDS: Final = 1.0
"""How long what was learned may be unsaved: after a crash that much feedback is gone through again."""

FORGET_SECONDS: Final = 3.0
"""After that, at the latest a second later, an order to forget a user is deleted itself: all have heard it."""

SETTLE_SECONDS: Final = 5.0
"""So long after the journal was away, other frontends may still have decisions to write that they made meanwhile."""

_UNSETTLED: Final = StoreError(
    "the journal was away until just now, and may not have been told of this query yet: send the feedback again"
)

Recalled = Callable[[DecisionRecord | StoreError | None], None]
Job = Callable[[], None]


class JournalFeed:
    """The journal, on behalf of the event loop; ``learned`` is called once there is new feedback."""

    def __init__(self, journal: Journal, learned: Callable[[], None], thread: StoreThread) -> None:
        self._journal = journal
        self._learned = learned
        self._loop = asyncio.get_running_loop()
        self._thread = thread
        self._jobs: deque[tuple[str, Job]] = deque()
        self.backlog = Backlog(journal)
        self._following = Following(journal)
        self._generation = 0  # as the loop knows it
        self._starts_anew = False
        self._held: deque[Entry] = deque()  # given under a registry that has not come here yet
        self._keep_due = self._save_due = False
        self.reach = Reach("the journal of feedback", "the journal of feedback: it is back")
        self._outbox = Outbox(journal, self.reach)
        self.states = States(self._load)
        self.decisions = Decisions(self._plan_to_keep, wall_clock)

    # -- on the loop -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Takes up what was learned before, after the registry was; blocks, for start-up."""
        states, journal = self.states, self._journal
        checkpoint = journal.checkpoint()
        self._following.begin(checkpoint)
        states.begin(journal.load(states.everybodys_keys()), checkpoint)
        while entries := self._following.read():
            self._following.note_change()
            self._learn(entries)
            for key, stored in _all_of(journal, users_of(entries)).items():
                states.loaded(key, stored)
            self._jobs.clear()  # the loads of those

    def accept(self, feedback: Feedback, then: Written) -> None:
        """As ``clipper.updater.Desk``."""
        self._outbox.add(feedback, then)
        self._thread.wake()

    def recall(self, query_id: int, then: Recalled, patiently: bool) -> None:
        """As ``clipper.updater.Desk``."""
        self._recall(query_id, then, RECALLS if patiently else 1)

    def _recall(self, query_id: int, then: Recalled, attempts: int) -> None:
        def recalled(found: DecisionRecord | StoreError | None) -> None:
            if found is None and attempts > 1:
                self._loop.call_later(KEEP_SECONDS, self._recall, query_id, then, attempts - 1)
            elif found is None and self.reach.was_lost_within(SETTLE_SECONDS):
                then(_UNSETTLED)
            else:
                then(found)

        def recall() -> None:
            found: DecisionRecord | StoreError | None = FAILED
            try:
                found = self._journal.recall(query_id)
            except StoreError as error:
                found = error
            finally:  # whatever it was, somebody waits for an answer
                self._loop.call_soon_threadsafe(recalled, found)

        self._add_job(READING, recall)

    def registry_changed(self) -> None:
        """Feedback that was given under this registry can be learned now."""
        held, self._held = self._held, deque()
        self._learn(held)

    def finish(self) -> None:
        """Has written what is to be written, before the thread stops."""
        for _ in range(2):  # decisions ripen for a round
            self._keep(everything=True)
        self._save()

    def _add_job(self, doing: str, job: Job) -> None:
        self._jobs.append((doing, job))
        self._thread.wake()

    def _insist(self, doing: str, job: Job) -> None:
        """Tries again every second until the journal has taken it."""

        def attempt() -> None:
            try:
                job()
            except StoreError:
                self._loop.call_soon_threadsafe(self._loop.call_later, SAVE_SECONDS, self._insist, doing, job)
                raise

        self._add_job(doing, attempt)

    def _load(self, key: StateKey) -> None:
        def load() -> None:
            stored = self._journal.load((key,)).get(key)
            self._loop.call_soon_threadsafe(self.states.loaded, key, stored)

        self._insist(READING, load)

    def _learn(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if self._held or self.states.is_ahead(entry):
                self._held.append(entry)
            else:
                self.states.apply(entry)
        if entries:
            self._learned()
            self._plan_to_save()
        for entry in entries:
            if entry.feedback.forget and entry.feedback.decision.user:
                self._forget(entry.feedback.decision.app, entry.feedback.decision.user)

    def _forget(self, app: str, user: str) -> None:
        self.decisions.forget(app, user)

        def forget() -> None:  # those that were on their way there
            self.backlog.forget(app, user)
            self._journal.forget_decisions(app, user)

        self._insist(WRITING, forget)
        self._loop.call_later(FORGET_SECONDS, self._plan_to_save)  # the second save drops the order, and the name

    def _take_up(self, entries: Sequence[Entry], outcomes: Sequence[tuple[Written, bool | StoreError]]) -> None:
        self._learn(entries)
        for then, outcome in outcomes:
            then(outcome)

    def _plan_to_keep(self) -> None:
        if not self._keep_due:
            self._keep_due = True
            self._loop.call_later(KEEP_SECONDS, self._keep)

    def _keep(self, everything: bool = False) -> None:
        self._keep_due = False
        taken, more = self.decisions.take(everything)
        if taken:
            self._add_job(NEITHER, lambda: self._remember(taken))
        if more:
            self._plan_to_keep()

    def _plan_to_save(self) -> None:
        if not self._save_due:
            self._save_due = True
            self._loop.call_later(SAVE_SECONDS, self._save)

    def _save(self) -> None:
        self._save_due = False
        states, checkpoint = self.states.unsaved()
        if self._held:
            checkpoint = min(checkpoint, self._held[0].position - 1)
        generation = self._generation

        def save() -> None:
            try:
                if generation != self._following.generation or self._journal.lost():
                    self._loop.call_soon_threadsafe(self._plan_to_save)
                    return
                self._journal.save(states, checkpoint)
            except StoreError:
                self._loop.call_soon_threadsafe(self._plan_to_save)
                raise
            self._loop.call_soon_threadsafe(self.states.saved, states)

        self._add_job(WRITING, save)

    def _start_anew(self) -> None:
        """The journal was put back to an earlier state: what it keeps counts, not what was learned of the rest."""
        keys = self.states.everybodys_keys()

        def reload() -> None:
            checkpoint = self._journal.checkpoint()
            kept = self._journal.load(keys)
            self._following.begin_anew(checkpoint)
            self._loop.call_soon_threadsafe(self._begin_anew, kept, checkpoint)
            self._thread.wake()

        self._insist(READING, reload)

    def _begin_anew(self, kept: Mapping[StateKey, StoredState], checkpoint: int) -> None:
        self._generation += 1
        self._starts_anew = False
        self._held.clear()
        self.states.begin(kept, checkpoint)
        self._learned()

    # -- on the thread ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        """As ``clipper.frontend.store_thread.Looker``."""
        self._write_and_read()
        while self._jobs:
            self._attempt(*self._jobs.popleft())
        if self.backlog.due:
            self._attempt(WRITING, self.backlog.write)
            if self.backlog.due:
                self._thread.wake()

    def close(self) -> None:
        while self._outbox or self.backlog.due:
            self.look()
        if self.backlog:
            log.warning("%d decisions can't be kept: feedback by their query ids is lost", len(self.backlog))
        self._attempt(NEITHER, self._journal.close)

    def _remember(self, taken: Sequence[tuple[Made, float]]) -> None:
        records = records_of(taken)
        self._loop.call_soon_threadsafe(self.decisions.keep, records)
        self.backlog.add(records)

    def _write_and_read(self) -> None:
        outcomes = self._outbox.write()
        if outcomes:
            self._following.note_change()
        if any(isinstance(outcome, StoreError) for _, outcome in outcomes):
            self._loop.call_soon_threadsafe(self._plan_to_save)  # shows when it can be written again
        entries: list[Entry] = []
        self._attempt(READING, lambda: entries.extend(self._read()))
        self._hand_over(entries, outcomes)  # though the journal went away after the writing

    def _read(self) -> Sequence[Entry]:
        entries = self._following.read()
        if self._following.is_lost and not self._starts_anew:
            self._starts_anew = True
            log.warning("the journal of feedback was put back to an earlier state: what was learned is read anew")
            self._loop.call_soon_threadsafe(self._start_anew)
        return entries

    def _hand_over(self, entries: Sequence[Entry], outcomes: Sequence[tuple[Written, bool | StoreError]]) -> None:
        if entries or outcomes:
            self._loop.call_soon_threadsafe(self._take_up, entries, outcomes)
        if self._outbox or len(entries) == AT_ONCE:
            self._thread.wake()

    def _attempt(self, doing: str, work: Job) -> None:
        try:
            work()
        except StoreError as error:
            self.reach.failed(doing, error.cause)
        except Exception:
            log.exception("the journal's thread met a bug")
        else:
            self.reach.worked(doing)


def _all_of(journal: Journal, keys: set[StateKey]) -> dict[StateKey, StoredState | None]:
    return {**dict.fromkeys(keys), **journal.load(keys)}
