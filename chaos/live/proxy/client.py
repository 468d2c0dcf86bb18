"""The way to command proxies from another process, over the control API that Toxiproxy's clients speak, too."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from chaos.errors import ChaosError, DeadlineError, UsageError

ANSWER_LIMIT_S = 10.0
POLL_S = 10.0


class ProxyGoneError(ChaosError):
    """The control port does not answer: the proxies' process has ended, or was never there."""

    def __init__(self, control_url: str, found: str) -> None:
        self.control_url, self.found = control_url, found
        super().__init__(f"expected the proxies' control port at {control_url}, found {found}; see if it still runs")


class ProxyClient:
    """A client of the control port. Use as an async context manager, or call ``aclose``.

    Every method raises ``ProxyGoneError`` when nobody answers within 10 s, and ``UsageError`` for what is refused.
    """

    def __init__(self, control_url: str) -> None:
        self.control_url = control_url
        trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # Loopback speaks no TLS, and loading roots is slow.
        self._http = httpx.AsyncClient(
            base_url=control_url, timeout=ANSWER_LIMIT_S, trust_env=False, verify=trusting_nobody
        )

    def __repr__(self) -> str:
        return f"ProxyClient({self.control_url})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections to the control port."""
        await self._http.aclose()

    async def create(
        self, name: str, upstream: str, *, listen: str = "127.0.0.1:0",
        toxics: Sequence[Mapping[str, Any]] = (), seed: int = 0,
    ) -> Mapping[str, Any]:  # fmt: skip
        """Create a proxy with its toxics, at one stroke, and return it; ``listen`` says where it is."""
        data = {"name": name, "upstream": upstream, "listen": listen, "toxics": list(toxics), "seed": seed}
        found: Mapping[str, Any] = await self.call("POST", "/proxies", data)
        return found

    async def proxy(self, name: str) -> Mapping[str, Any]:
        """Return a proxy with its toxics and counts."""
        found: Mapping[str, Any] = await self.call("GET", f"/proxies/{name}")
        return found

    async def add(
        self, proxy: str, kind: str, *, stream: str = "downstream", toxicity: float = 1.0, name: str = "",
        **attributes: Any,
    ) -> str:  # fmt: skip
        """Add a toxic to a proxy, in open connections too, and return its name."""
        data = {"type": kind, "stream": stream, "toxicity": toxicity, "name": name, "attributes": attributes}
        return str((await self.call("POST", f"/proxies/{proxy}/toxics", data))["name"])

    async def remove(self, proxy: str, toxic: str) -> int:
        """Take a toxic away and return how often it has fired."""
        fired = int((await self.call("GET", f"/proxies/{proxy}/toxics/{toxic}"))["fired"])
        await self.call("DELETE", f"/proxies/{proxy}/toxics/{toxic}")
        return fired

    async def switch(self, proxy: str, *, on: bool) -> None:
        """Let a proxy listen, or be down: it refuses connections and closes those that are open."""
        await self.call("POST", f"/proxies/{proxy}", {"enabled": on})

    async def fired(self, proxy: str, toxic: str, times: int = 1, *, deadline_s: float = 20) -> int:
        """Wait until a toxic has fired that often; return how often it has. Raises ``DeadlineError``."""
        left_s = deadline_s
        while True:
            wait_s = min(left_s, POLL_S)
            path = f"/proxies/{proxy}/toxics/{toxic}?fired={times}&wait={wait_s:g}"
            found = int((await self.call("GET", path, limit_s=wait_s + ANSWER_LIMIT_S))["fired"])
            left_s -= wait_s
            if found >= times:
                return found
            if left_s <= 0:
                raise DeadlineError(f"the toxic {toxic} fired {times} times", deadline_s, f"{found} times")

    async def call(self, method: str, path: str, data: object = None, *, limit_s: float = ANSWER_LIMIT_S) -> Any:
        """Send one command and return the data of its answer (None when it has none)."""
        try:
            answer = await self._http.request(method, path, json=data, timeout=limit_s)
        except httpx.TransportError as error:
            raise ProxyGoneError(self.control_url, type(error).__name__) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise UsageError(f"{method} {path} to be obeyed", f"{answer.status_code}: {answer.text.strip()}", "mend it")
