"""The two stages of a toxic that knows HTTP: one reads the requests, one the answers, and the toxic decides on parts.

* A request that the toxic is to break is chosen when its head has come; its answer is known by the order of both.
* Turns are counted over all connections of a proxy: "the first two requests" are the first two of the proxy, however
  often the client connects anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from chaos.live.proxy.http_parts import MessageReader, Part, PartKind
from chaos.live.proxy.steps import Direction, Place, Stage, Step, StepKind, Toxic


@dataclass(slots=True)
class Victim:
    """One request that the toxic breaks, and the fate of its answer; ``memory`` is the toxic's own."""

    memory: int = 0
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class HttpToxic(Toxic):
    """Break the ``first`` requests (0: all) whose path begins with ``path``; subclasses say how."""

    first: Annotated[int, Field(ge=0)] = 1
    path: str = ""

    def stages(self, place: Place) -> Mapping[Direction, Stage]:
        """Return a stage for the requests and one for the answers, which know of each other."""
        conversation = _Conversation(self, place)
        return {Direction.UPSTREAM: _Requests(conversation), Direction.DOWNSTREAM: _Answers(conversation)}

    def on_request(self, part: Part, victim: Victim, step: Step, place: Place) -> Sequence[Step]:  # noqa: ARG002
        """Return what becomes of a part of a request that is to be broken."""
        return (step,)

    def on_answer(self, part: Part, victim: Victim, step: Step, place: Place) -> Sequence[Step]:  # noqa: ARG002
        """Return what becomes of a part of the answer to it."""
        return (step,)


class _Conversation:
    """What both stages of one connection know."""

    def __init__(self, toxic: HttpToxic, place: Place) -> None:
        self.toxic, self.place = toxic, place
        self.methods: list[str] = []
        self.unanswered: deque[Victim | None] = deque()

    def begin(self, head: Part) -> Victim | None:
        concerns = head.target.startswith(self.toxic.path) and self.place.turns.take(self.toxic.first)
        self.unanswered.append(Victim() if concerns else None)
        return self.unanswered[-1]


class _Reading(Stage):
    """Takes a stream of bytes apart and puts together what becomes of the parts."""

    window_bytes = 256 << 10

    def __init__(self, conversation: _Conversation, *, is_answer: bool) -> None:
        self._conversation = conversation
        self._reader = MessageReader(conversation.methods, is_answer=is_answer)
        self._victim: Victim | None = None
        self._last_due = 0.0

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is StepKind.DATA:
            steps = [become for part in self._reader.feed(step.data) for become in self._parts(part, step.due)]
        else:
            rest = self._reader.rest()
            steps = [*([Step(step.due, StepKind.DATA, rest)] if rest else []), step]
        for one in steps:  # What follows a part that takes its time comes after it.
            one.due = self._last_due = max(one.due, self._last_due)
        return steps

    def _parts(self, part: Part, due: float) -> list[Step]:
        become = self._become(part, Step(due, StepKind.DATA, part.data))
        return [one for one in become if one.kind is not StepKind.DATA or one.data]

    def _become(self, part: Part, step: Step) -> Sequence[Step]:
        raise NotImplementedError


class _Requests(_Reading):
    def __init__(self, conversation: _Conversation) -> None:
        super().__init__(conversation, is_answer=False)

    def _become(self, part: Part, step: Step) -> Sequence[Step]:
        if part.kind is PartKind.HEAD:
            self._victim = self._conversation.begin(part)
        if self._victim is None:
            return (step,)
        return self._conversation.toxic.on_request(part, self._victim, step, self._conversation.place)


class _Answers(_Reading):
    def __init__(self, conversation: _Conversation) -> None:
        super().__init__(conversation, is_answer=True)

    def _become(self, part: Part, step: Step) -> Sequence[Step]:
        unanswered = self._conversation.unanswered
        if part.kind is PartKind.HEAD and not part.is_interim:
            self._victim = unanswered.popleft() if unanswered else None
        victim = unanswered[0] if part.is_interim and unanswered else self._victim
        if victim is None:
            return (step,)
        return self._conversation.toxic.on_answer(part, victim, step, self._conversation.place)
