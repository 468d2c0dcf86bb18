"""The control API of the proxies, over HTTP: the subset of Toxiproxy's that its clients use, with the same answers.

    GET /version   GET, POST /proxies   POST /populate   POST /reset   GET, POST (or PATCH), DELETE /proxies/{proxy}
    GET, POST /proxies/{proxy}/toxics   GET, POST (or PATCH), DELETE /proxies/{proxy}/toxics/{toxic}

* A command holds when its answer is there. Ours beyond Toxiproxy's: ``toxics`` and ``seed`` in a new proxy, unix
  sockets, ``reached`` and ``fired`` in each toxic, counts of connections and bytes, and waiting for a fault:
  ``GET /proxies/{proxy}/toxics/{toxic}?fired=3&wait=20`` answers once it fired 3 times, or after 20 s.
* What is wrong is answered with Toxiproxy's ``{"error": …, "status": …}``: 400, 404 or 409.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from chaos.errors import ChaosError, RefusedError, UsageError
from chaos.live.proxy.active import ActiveToxic
from chaos.live.proxy.proxy import Proxy
from chaos.live.proxy.settings import MANY_PROXIES, ONE_PROXY, ONE_TOXIC, PROXY_CHANGE, TOXIC_CHANGE, ProxySettings
from chaos.rules.wats_server import usage_error

WAIT_S_MAX = 60.0
PROXIES_MAX = 1000
Answer = tuple[int, Any]
_T = TypeVar("_T")


class ApiError(ChaosError):
    """A request that cannot be obeyed; ``status`` is what its answer carries."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Proxies:
    """All proxies of a process, and the commands over them. ``close`` ends every one of them."""

    def __init__(self) -> None:
        self._proxies: dict[str, Proxy] = {}
        self._commands: dict[tuple[str, str], Callable[[bytes], Answer]] = {
            ("GET", "version"): lambda _: (200, {"version": metadata.version("pywats-reliability")}),
            ("GET", "proxies"): lambda _: (200, {name: proxy.as_data() for name, proxy in self._proxies.items()}),
            ("POST", "proxies"): lambda body: (201, self._create(_parsed(ONE_PROXY, body)).as_data()),
            ("POST", "populate"): self._populate,
            ("POST", "reset"): self._reset,
        }

    def __repr__(self) -> str:
        return f"Proxies({', '.join(self._proxies) or 'none'})"

    def close(self) -> None:
        """Close every proxy with its connections. Idempotent."""
        for proxy in self._proxies.values():
            proxy.close()
        self._proxies.clear()

    async def obey(self, method: str, target: str, body: bytes) -> Answer:
        """Carry out one request and return its status and JSON data (None: no body). Raises nothing of ours."""
        address = urlsplit(target)
        steps = [unquote(step) for step in address.path.strip("/").split("/")]
        try:
            return await self._obey("POST" if method == "PATCH" else method, steps, address.query, body)
        except ApiError as error:
            return _complaint(error.status, error)
        except (UsageError, RefusedError) as error:
            return _complaint(400, error)

    async def _obey(self, method: str, steps: list[str], query: str, body: bytes) -> Answer:
        match steps:
            case ["proxies", name]:
                return self._obey_for_proxy(method, self._proxy(name), body)
            case ["proxies", name, "toxics"]:
                return _obey_for_toxics(method, self._proxy(name), body)
            case ["proxies", name, "toxics", toxic]:
                proxy = self._proxy(name)
                return await _obey_for_toxic(method, proxy, _toxic(proxy, toxic), query, body)
        command = self._commands.get((method, "/".join(steps)))
        if command is None:
            raise ApiError(404, f"no such command: {method} /{'/'.join(steps)}")
        return command(body)

    def _obey_for_proxy(self, method: str, proxy: Proxy, body: bytes) -> Answer:
        if method == "POST":
            proxy.change(_parsed(PROXY_CHANGE, body))
        elif method == "DELETE":
            proxy.close()
            del self._proxies[proxy.name]
            return 204, None
        elif method != "GET":
            raise ApiError(405, f"{method} makes no sense for a proxy")
        return 200, proxy.as_data()

    def _proxy(self, name: str) -> Proxy:
        if name not in self._proxies:
            raise ApiError(404, f"proxy not found: {name!r}; there are {', '.join(self._proxies) or 'none'}")
        return self._proxies[name]

    def _create(self, settings: ProxySettings) -> Proxy:
        if settings.name in self._proxies:
            raise ApiError(409, f"proxy already exists: {settings.name!r}")
        if len(self._proxies) >= PROXIES_MAX:
            raise ApiError(409, f"there are {PROXIES_MAX} proxies already")
        proxy = Proxy(settings)
        if settings.enabled:
            proxy.open()
        self._proxies[proxy.name] = proxy
        return proxy

    def _put(self, settings: ProxySettings) -> Proxy:
        """Create a proxy, or replace one of the same name (at the same port, where the system chose it)."""
        if (old := self._proxies.pop(settings.name, None)) is not None:
            old.close()
        return self._create(settings)

    def _populate(self, body: bytes) -> Answer:
        return 201, {"proxies": [self._put(one).as_data() for one in _parsed(MANY_PROXIES, body)]}

    def _reset(self, _body: bytes) -> Answer:
        for proxy in self._proxies.values():
            for name in list(proxy.toxics):
                proxy.remove_toxic(name)
            proxy.open()
        return 204, None


def _obey_for_toxics(method: str, proxy: Proxy, body: bytes) -> Answer:
    if method == "GET":
        return 200, [toxic.as_data() for toxic in proxy.toxics.values()]
    if method != "POST":
        raise ApiError(405, f"{method} makes no sense for toxics")
    settings = _parsed(ONE_TOXIC, body)
    if settings.label in proxy.toxics:
        raise ApiError(409, f"toxic already exists: {settings.label!r}")
    return 200, proxy.add_toxic(settings).as_data()


async def _obey_for_toxic(method: str, proxy: Proxy, toxic: ActiveToxic, query: str, body: bytes) -> Answer:
    if method == "GET":
        await _wait(toxic, parse_qs(query))
        return 200, toxic.as_data()
    if method == "POST":
        return 200, proxy.change_toxic(toxic.settings.label, _parsed(TOXIC_CHANGE, body)).as_data()
    if method == "DELETE":
        proxy.remove_toxic(toxic.settings.label)
        return 204, None
    raise ApiError(405, f"{method} makes no sense for a toxic")


async def _wait(toxic: ActiveToxic, query: Mapping[str, list[str]]) -> None:
    if "fired" not in query:
        return
    try:
        times, wait_s = int(query["fired"][-1]), float(query.get("wait", ["0"])[-1])
    except ValueError as error:
        raise ApiError(400, f"fired and wait are numbers: {error}") from error
    await toxic.wait_fired(times, min(wait_s, WAIT_S_MAX))


def _toxic(proxy: Proxy, name: str) -> ActiveToxic:
    if name not in proxy.toxics:
        raise ApiError(404, f"toxic not found: {name!r}; there are {', '.join(proxy.toxics) or 'none'}")
    return proxy.toxics[name]


def _parsed(adapter: TypeAdapter[_T], body: bytes) -> _T:
    try:
        return adapter.validate_json(body or b"{}")
    except ValidationError as error:
        raise usage_error(error, "the command") from None


def encoded(data: object) -> bytes:
    """Return data as the body of an answer; None is no body."""
    return b"" if data is None else json.dumps(data).encode() + b"\n"


def _complaint(status: int, error: ChaosError) -> Answer:
    return status, {"error": str(error), "status": status}
