"""What a frontend has learned: everybody's state of each application, and those of users who ask just now.

All feedback of the cluster is gone through in its one order, so every frontend comes to the same states. Those of
users are loaded when they are first needed, kept while there is room, and written behind: the store has the rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from clipper.selection.learning import Learned, Teaching
from clipper.selection.policy import State
from clipper.store.journal import Entry, Feedback, StateKey, StoredState

USERS_KEPT: Final = 20_000
"""Users' states in memory; of more the least recently needed go, once they are written."""

LOOKED_AT: Final = 64
"""Users who were not needed for longest, of whom those that are written go, once there are too many."""

MOST_LOADING: Final = 10_000
"""Users' states that are waited for; the queries of more users are answered from everybody's state."""


class AppStates:
    """One application's: ``everybody`` is of ``position``; ``current`` the state to serve from."""

    __slots__ = ("current", "dirty", "everybody", "linked", "position", "teaching")

    def __init__(self, teaching: Teaching, linked: tuple[str, ...], everybody: Learned, position: int) -> None:
        self.teaching = teaching
        self.linked = linked
        self.everybody = everybody
        self.position = position
        self.dirty = False
        self.current: State = teaching.for_links(everybody, linked)

    def relink(self, linked: tuple[str, ...]) -> None:
        self.linked = linked
        self.current = self.teaching.for_links(self.everybody, linked)

    def learn(self, position: int, feedback: Feedback) -> None:
        if feedback.forget:
            self.everybody = self.teaching.unlink(self.everybody, position, feedback.decision.linked)
        else:
            self.everybody = self.teaching.learn(self.everybody, feedback)
        self.position = position
        self.dirty = True
        self.current = self.teaching.for_links(self.everybody, self.linked)


class UserState:
    """A user's; ``learned`` is None for one who has given no feedback."""

    __slots__ = ("learned", "position")

    def __init__(self, learned: Learned | None, position: int) -> None:
        self.learned = learned
        self.position = position


class Loading:
    """A user's state under way: the feedback since, each with everybody's state of that time, and who waits."""

    __slots__ = ("entries", "waiters")

    def __init__(self) -> None:
        self.entries: list[tuple[Entry, Learned]] = []
        self.waiters: list[Callable[[], None]] = []


class States:
    """``load`` is called with the key of each state that is to be read from the store, and handed to ``loaded``."""

    def __init__(
        self, load: Callable[[StateKey], None], users_kept: int = USERS_KEPT, most_loading: int = MOST_LOADING
    ) -> None:
        self._load = load
        self._users_kept = users_kept
        self._most_loading = most_loading
        self._apps: dict[str, AppStates] = {}
        self._users: dict[StateKey, UserState] = {}  # the least recently needed first
        self._unsaved_users: dict[StateKey, None] = {}
        self._loading: dict[StateKey, Loading] = {}
        self.position = 0
        """The last feedback that was gone through."""
        self.revision = 0
        """That of the registry."""

    def __len__(self) -> int:
        """Users' states in memory."""
        return len(self._users)

    # -- following the registry

    def follow(self, apps: Mapping[str, tuple[Teaching, tuple[str, ...]]], revision: int) -> None:
        """Takes up which applications there are, what teaches them, and their links."""
        self.revision = revision
        for name, (teaching, linked) in apps.items():
            known = self._apps.get(name)
            if known is None or known.teaching.epoch != teaching.epoch:
                self._apps[name] = AppStates(teaching, linked, teaching.untaught(linked), 0)
                self._drop_users(name)
            else:
                known.teaching = teaching
                known.relink(linked)
        for name in self._apps.keys() - apps.keys():
            del self._apps[name]
            self._drop_users(name)

    def everybodys_keys(self) -> list[StateKey]:
        """Of everybody's states."""
        return [StateKey(name, "") for name in self._apps]

    def begin(self, kept: Mapping[StateKey, StoredState], checkpoint: int) -> None:
        """Starts, maybe anew, from everybody's states as they are kept; feedback is learned from ``checkpoint`` on.

        States of users that are being loaded just now come from what is kept, too.
        """
        self.position = checkpoint
        for name, app in self._apps.items():
            self._apps[name] = AppStates(app.teaching, app.linked, app.teaching.untaught(app.linked), 0)
            self._drop_users(name)
        for loading in self._loading.values():
            loading.entries.clear()
        for (name, _), stored in kept.items():
            if name not in self._apps:
                continue
            app = self._apps[name]
            learned = app.teaching.kept(stored)
            if learned is not None:
                self._apps[name] = AppStates(app.teaching, app.linked, learned, stored.position)

    # -- queries

    def of_everybody(self, app: str) -> State:
        return self._apps[app].current

    def learned(self, app: str) -> Learned:
        """What feedback has taught of everybody."""
        return self._apps[app].everybody

    def weights(self, app: str) -> dict[str, float]:
        """How far everybody's state trusts each model; empty for an application that is gone."""
        states = self._apps.get(app)
        return {} if states is None else states.teaching.weights(states.current)

    def of_user(self, app: str, user: str) -> tuple[State] | None:
        """The state to answer a user from; None if it has to be loaded: ``wait_for`` it."""
        key = StateKey(app, user)
        known = self._users.pop(key, None)
        if known is None:
            return None
        self._users[key] = known
        states = self._apps[app]
        if known.learned is None:
            return (states.current,)
        learned = states.teaching.of_user(known.learned, known.position, states.everybody)
        return (states.teaching.for_links(learned, states.linked),)

    def wait_for(self, app: str, user: str, waiter: Callable[[], None]) -> bool:
        """Has ``waiter`` called once the user's state is there; False if too many are waited for already."""
        loading = self._loading.get(StateKey(app, user))
        if loading is None:
            if len(self._loading) >= self._most_loading:
                return False
            loading = self._begin_loading(StateKey(app, user))
        loading.waiters.append(waiter)
        return True

    def loaded(self, key: StateKey, stored: StoredState | None) -> None:
        """Takes up a state that was asked for with ``load``; None if none is kept."""
        loading = self._loading.pop(key, None)
        app = self._apps.get(key.app)
        if loading is None:
            return
        if app is not None:
            position = stored.position if stored is not None else 0
            self._users[key] = UserState(app.teaching.kept(stored), position)
            for entry, everybody in loading.entries:
                self._teach(key, entry, everybody)
        for waiter in loading.waiters:
            waiter()
        self._make_room()

    # -- feedback

    def is_ahead(self, entry: Entry) -> bool:
        """Whether feedback was given under a registry that is not known here yet: then it has to wait."""
        return entry.feedback.decision.epoch > self.revision

    def apply(self, entry: Entry) -> None:
        """Learns from the next feedback of the order."""
        position, feedback = entry
        if position <= self.position:
            return
        self.position = position
        decision = feedback.decision
        app = self._apps.get(decision.app)
        if app is None or (decision.epoch != app.teaching.epoch and not feedback.forget):
            return
        everybody = app.everybody
        if position > app.position and not (feedback.forget and decision.user):
            app.learn(position, feedback)
        if decision.user and (app.teaching.policy.learns or feedback.forget):
            self._teach_user(StateKey(decision.app, decision.user), entry, everybody)

    def _teach_user(self, key: StateKey, entry: Entry, everybody: Learned) -> None:
        if key in self._users:
            self._teach(key, entry, everybody)
        else:
            loading = self._loading.get(key) or self._begin_loading(key)
            loading.entries.append((entry, everybody))

    def _teach(self, key: StateKey, entry: Entry, everybody: Learned) -> None:
        user, teaching = self._users[key], self._apps[key.app].teaching
        if entry.position <= user.position:
            return
        if entry.feedback.forget:
            user.learned = None
        else:
            own = user.learned
            known = teaching.first(everybody) if own is None else teaching.of_user(own, user.position, everybody)
            user.learned = teaching.learn(known, entry.feedback)
        user.position = entry.position
        self._unsaved_users[key] = None

    def _begin_loading(self, key: StateKey) -> Loading:
        loading = self._loading[key] = Loading()
        self._load(key)
        return loading

    # -- writing behind

    def unsaved(self) -> tuple[dict[StateKey, StoredState], int]:
        """The states that the store does not have, and how far feedback is learned once it has them."""
        unsaved = {
            StateKey(name, ""): StoredState(app.teaching.epoch, app.position, app.everybody.plain())
            for name, app in self._apps.items()
            if app.dirty
        }
        for key in self._unsaved_users:
            user = self._users[key]
            learned = user.learned.plain() if user.learned is not None else None
            unsaved[key] = StoredState(self._apps[key.app].teaching.epoch, user.position, learned)
        waiting = [each.entries[0][0].position - 1 for each in self._loading.values() if each.entries]
        return unsaved, min(waiting, default=self.position)

    def saved(self, states: Mapping[StateKey, StoredState]) -> None:
        """The store has these; what was learned meanwhile is still to be saved."""
        for key, stored in states.items():
            user, app = self._users.get(key), self._apps.get(key.app)
            if user is not None and user.position == stored.position:
                self._unsaved_users.pop(key, None)
            elif not key.user and app is not None and app.position == stored.position:
                app.dirty = False
        self._make_room()

    def _make_room(self) -> None:
        surplus = len(self._users) - self._users_kept
        if surplus > 0:
            oldest = list(itertools.islice(self._users, surplus + LOOKED_AT))
            for key in [key for key in oldest if key not in self._unsaved_users][:surplus]:
                del self._users[key]

    def _drop_users(self, app: str) -> None:
        for key in [key for key in self._users if key.app == app]:
            del self._users[key]
            self._unsaved_users.pop(key, None)


def users_of(entries: Iterable[Entry]) -> set[StateKey]:
    """Whose states are needed to go through this feedback."""
    decisions = (entry.feedback.decision for entry in entries)
    return {StateKey(each.app, each.user) for each in decisions if each.user}
