"""What one client may ask and what it is answered: the checks in their order, the command, its time limit; no bytes.

* Order of the checks (wats.md, 1.3): version, rate, ``auth``, ``ping``, authentication, everything else. Whether a
  client has proven itself is kept per connection, as is its rate (H6.7).
* Every body gets exactly one reply, with its request's id (H6.5); whatever the handler does becomes one too (H3.3): an
  error of ours keeps its code and words; any other exception is a bug of ours: logged once with its traceback, and
  answered without its words, which might hold a secret (H3.5). Bad input is never logged at ERROR (H6.6).
* A command over its time is cancelled and has ended before it is answered (H6.3): so it has no later effect. One that
  cannot promise that, because a disk does not answer, says so: its outcome is unknown, which is another code.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pywats_reliability.errors import OutcomeUnknownError, ReliabilityError
from pywats_reliability.ipc import messages
from pywats_reliability.ipc.messages import JSON, Request, Response, refusal
from pywats_reliability.ipc.rate_limit import TokenBucket
from pywats_reliability.ipc.secret import tokens_match

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A handler's data, and something to do once the answer is on its way, such as stopping the service.

    ``after`` is called exactly once, when the answer was written or could not be; it must not block.
    """

    data: JSON
    after: Callable[[], object]


CommandHandler: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[JSON | Answer]]
"""Carries out a command with the request's ``args``; cancelled when it takes too long, and must end soon then."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered with: the body to send, the error's code if it is one, and what to do afterwards."""

    body: bytes = field(repr=False)
    code: str | None = None
    after: Callable[[], object] | None = None


class Session:
    """One client's side of the protocol: has it proven itself, and is it within its rate."""

    def __init__(self, handlers: Mapping[str, CommandHandler], *, secret: str | None, request_s: float) -> None:
        self._handlers, self._secret, self._request_s = handlers, secret, float(request_s)
        self._rate = TokenBucket()
        self.is_authenticated = secret is None

    async def reply(self, body: bytes) -> Reply:
        """Return the reply to one request's body. Raises nothing but what cancels or ends the task itself."""
        request = messages.parse_request(body)
        if isinstance(request, Response):
            return Reply(request.encode(), request.code)
        response, after = await self._respond(request)
        try:
            return Reply(response.encode(), response.code, after)
        except (TypeError, ValueError, RecursionError):
            log.exception("IPC command %.100r: its data cannot be sent as JSON", request.command)
            failure = _internal_error(request)
            return Reply(failure.encode(), failure.code, after)

    async def _respond(self, request: Request) -> tuple[Response, Callable[[], object] | None]:
        if not self._rate.take(asyncio.get_running_loop().time()):
            text = "Rate limit exceeded. Try again later."
            return refusal(messages.RATE_LIMITED, text, request_id=request.request_id), None
        if request.command == "auth":
            return self._authenticate(request), None
        if request.command == "ping":
            return Response(request.request_id, {"pong": True, "authenticated": self.is_authenticated}), None
        if not self.is_authenticated:
            text = "Authentication required: expected `auth` with the instance's token first, found none"
            return refusal(messages.AUTHENTICATION, text, request_id=request.request_id), None
        handler = self._handlers.get(request.command)
        if handler is None:
            text = f"Unknown command: {request.command[: messages.ECHO_MAX]}"
            return refusal(messages.UNKNOWN_COMMAND, text, request_id=request.request_id), None
        return await self._carry_out(handler, request)

    def _authenticate(self, request: Request) -> Response:
        token = request.args.get("token")
        if self._secret is None or (isinstance(token, str) and tokens_match(token, self._secret)):
            self.is_authenticated = True
            return Response(request.request_id, {"authenticated": True})
        text = "Invalid token" if isinstance(token, str) and token else "Token required"
        log.warning("IPC client refused: %s", text)
        return refusal(
            messages.AUTHENTICATION,
            f"{text}: expected args.token with the contents of the instance's secret file",
            request_id=request.request_id,
            data={"authenticated": False},
        )

    async def _carry_out(
        self, handler: CommandHandler, request: Request
    ) -> tuple[Response, Callable[[], object] | None]:
        deadline = asyncio.timeout(self._request_s)
        try:
            async with deadline:
                data = await handler(request.args)
        except OutcomeUnknownError as error:
            if not deadline.expired():
                raise asyncio.CancelledError from error  # The connection is being ended; there is nobody to tell.
            log.warning("IPC command %s is over its time: %s", request.command, error)
            text = f"Request processing timeout after {self._request_s}s: {error}"
            return refusal(error.code, text, request_id=request.request_id), None
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            text = f"{request.command}: expected it to be carried out, found it cancelled; ask for the state, try again"
            return refusal(messages.CANCELLED, text, request_id=request.request_id), None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - becomes an answer, and is logged when it is a bug
            return self._failure(request, error, timed_out=deadline.expired()), None
        if isinstance(data, Answer):
            return Response(request.request_id, data.data), data.after
        return Response(request.request_id, data), None

    def _failure(self, request: Request, error: BaseException, *, timed_out: bool) -> Response:
        if timed_out:
            log.warning("IPC command %s cancelled: it took longer than %g s", request.command, self._request_s)
            text = f"Request processing timeout after {self._request_s}s"
            return refusal(messages.PROCESSING_TIMEOUT, text, request_id=request.request_id)
        if isinstance(error, ReliabilityError):
            return refusal(error.code, str(error), request_id=request.request_id)
        log.error("IPC command %s failed", request.command, exc_info=error)
        return _internal_error(request)


def _internal_error(request: Request) -> Response:
    text = f"{request.command}: expected it to be carried out, found an error of the service's own; see its log"
    return refusal(messages.INTERNAL_ERROR, text, request_id=request.request_id)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
