"""The strokes of a painting with undo and redo, as plain values stored in a browser.

    {"strokes": {"1": {…}, "2": {…}}, "now": ["1", "2"], "past": [["1"], []], "future": []}

Each state is a list of names, so a mask is stored once, for any length of the history.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dissect.errors import ConfigError
from dissect.painting.recipe import MOST_STROKES
from dissect.painting.strokes import Stroke

_MOST_STATES = 100
_State = tuple[str, ...]


@dataclass(frozen=True)
class History:
    """Strokes by name, the current state, and the states before and after it.

    Args:
        strokes: Name → stroke, of all states.
        now: Names of the current strokes, from the first to the last.
        past: Earlier states, the latest last.
        future: Undone states, the next one first.

    Example:
        >>> History().added(Stroke("remove", "b16.conv1", (3,))).undone().now
        ()
    """

    strokes: Mapping[str, Stroke] = field(default_factory=dict)
    now: _State = ()
    past: tuple[_State, ...] = ()
    future: tuple[_State, ...] = ()

    @property
    def shown(self) -> tuple[Stroke, ...]:
        """The strokes of the current state."""
        return tuple(self.strokes[name] for name in self.now)

    def added(self, stroke: Stroke) -> "History":
        """Add a stroke on top.

        Raises:
            ConfigError: too many strokes.
        """
        if len(self.now) >= MOST_STROKES:
            raise ConfigError(f"there are {MOST_STROKES} strokes, as many as there may be")
        name = str(max((int(one) for one in self.strokes), default=0) + 1)
        return replace(self, strokes={**self.strokes, name: stroke})._at((*self.now, name))

    def without(self, name: str) -> "History":
        """Remove one stroke."""
        return self._at(tuple(one for one in self.now if one != name))

    def cleared(self) -> "History":
        """Remove all strokes."""
        return self._at(())

    def undone(self) -> "History":
        """Go one state back, if there is one."""
        if not self.past:
            return self
        *past, now = self.past
        return replace(self, now=now, past=tuple(past), future=(self.now, *self.future))

    def redone(self) -> "History":
        """One state forth, if there is one."""
        if not self.future:
            return self
        now, *future = self.future
        return replace(self, now=now, past=(*self.past, self.now), future=tuple(future))

    @classmethod
    def of(cls, strokes: tuple[Stroke, ...]) -> "History":
        """A history that starts with these strokes."""
        named = {str(number): stroke for number, stroke in enumerate(strokes, start=1)}
        return cls(named, tuple(named))

    def to_json(self) -> dict[str, object]:
        """Plain values; omits strokes that no state uses."""
        states = (self.now, *self.past, *self.future)
        used = {name for state in states for name in state}
        return {
            "strokes": {n: one.to_json() for n, one in self.strokes.items() if n in used},
            "now": list(self.now),
            "past": [list(state) for state in self.past],
            "future": [list(state) for state in self.future],
        }

    @classmethod
    def from_json(cls, content: Any) -> "History":
        """The inverse of ``to_json``; None is an empty one.

        Raises:
            ConfigError: an invalid value.
        """
        if content is None:
            return cls()
        damaged = "the list of strokes is damaged; expected one that this page made"
        try:
            strokes = {name: Stroke.from_json(one) for name, one in content["strokes"].items()}
            past, future = (
                tuple(tuple(state) for state in content[name]) for name in ("past", "future")
            )
            now = tuple(content["now"])
            states = (now, *past, *future)
            known = {name for state in states for name in state} <= set(strokes)
            sound = known and all(name.isascii() and name.isdigit() for name in strokes)
        except (TypeError, KeyError, AttributeError):
            raise ConfigError(damaged) from None
        if not sound or len(states) > 2 * _MOST_STATES or max(map(len, states)) > MOST_STROKES:
            raise ConfigError(damaged)
        return cls(strokes, now, past, future)

    def _at(self, now: _State) -> "History":
        if now == self.now:
            return self
        return replace(self, now=now, past=(*self.past, self.now)[-_MOST_STATES:], future=())
