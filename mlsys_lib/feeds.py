"""The feeds that a desk follows: what they have told, up to where each is known to be complete.

The events of the log come in any order; a *tick* says up to when which feeds are complete, a watermark. That is
how a quiet night differs from a broken feed, and it is what the age of features is measured by.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from mlsys_lib.events import CLOCK, TOPICS, Event
from mlsys_lib.stream import Windows


class Feeds:
    """What the feeds have told, each up to its own watermark; watermarks move by whole ticks only.

    Parameters
    ----------
    after : datetime, aware
        Reports that were available by then are refused.

    Notes
    -----
    A report waits until a tick declares its feed complete up to the moment at which it was available: then
    all of that moment are in, and are taken in their order, whatever the order in which they came. One that
    comes after its feed was declared complete is refused: answers have been given without it.

    Examples
    --------
    >>> from datetime import UTC
    >>> from mlsys_lib import World
    >>> from mlsys_lib.events import replay
    >>> feeds = Feeds(datetime.min.replace(tzinfo=UTC))
    >>> outage = {"arrivals": ("2013-04-22 14:00", "2013-04-23")}
    >>> for event in replay(World("2013-04-22 15:00"), "2013-04-22 12:00", outages=outage):
    ...     feeds.feed(event)
    >>> feeds.ages, feeds.refused
    ({'departures': 0.0, 'arrivals': 60.0, 'weather': 0.0}, 0)
    """

    def __init__(self, after: datetime) -> None:
        self.now: datetime | None = None
        self.complete: dict[str, datetime] = {}
        self.ages = dict.fromkeys(TOPICS, math.inf)  # minutes; they change with a tick alone
        self.offset = self.refused = 0
        self._windows = Windows()
        self._airports: set[str] = set()
        self._after = after
        self._held: dict[str, list[Event]] = {topic: [] for topic in TOPICS}

    def feed(self, event: Event) -> None:
        """Take in one event of the log; what cannot be understood, or comes too late, is counted in `refused`."""
        with self._refusing(event):
            if event.topic == CLOCK:
                self._tick(event)
            elif event.available_at <= self.complete.get(event.topic, self._after):
                raise ValueError("its feed was declared complete up to a later moment")
            else:
                self._held[event.topic].append(event)
        self.offset = max(self.offset, event.offset + 1)

    def row(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """All features of a flight, each feed's as of its own watermark.

        Parameters
        ----------
        plan : mapping
            Its columns of `SCHEDULE`.

        Returns
        -------
        dict
            The columns of `FEATURES`.
        """
        return self._windows.row(plan, self.complete)

    def all(self, airports: Set[str]) -> bool:
        """Whether each feed was complete once, and the weather of each airport is known."""
        return len(self.complete) == len(TOPICS) and airports <= self._airports

    def _tick(self, event: Event) -> None:
        complete = [topic for topic in TOPICS if topic in event.value["complete"]]
        if self.now is not None and event.available_at <= self.now:
            raise ValueError(f"the clock stands at {self.now:%Y-%m-%d %H:%M} UTC already")
        self.now = event.available_at
        for topic in complete:
            self._take(topic, self.now)
            self.complete[topic] = self.now
        for topic, at in self.complete.items():
            self.ages[topic] = (self.now - at) / timedelta(minutes=1)

    def _take(self, topic: str, now: datetime) -> None:
        """The reports that were available by now, in the order in which they became so."""
        waiting = sorted(self._held[topic], key=attrgetter("available_at"))
        self._held[topic] = [event for event in waiting if event.available_at > now]
        for event in waiting:
            if event.available_at <= now:
                with self._refusing(event):
                    self._windows.add(event)
                    if topic == "weather":
                        self._airports.add(event.value["origin"])

    @contextmanager
    def _refusing(self, event: Event) -> Iterator[None]:
        """One bad report must not stop the desk."""
        try:
            yield
        except (KeyError, TypeError, ValueError) as error:
            self.refused += 1
            logging.getLogger(__name__).warning(
                "refused %s: %s %s", event.key, type(error).__name__, error
            )
