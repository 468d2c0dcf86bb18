"""One proxy: a listening socket, the connections that came in through it, and the toxics at work in them.

* It is created with its toxics: there is no instant at which a connection gets through without them.
* Connections are numbered from 1; what a toxic draws for one depends on the proxy's seed, that number and its own name.
* Closing it (``enabled: false``) refuses new connections and closes those that are open, as a server that is down.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import replace
from typing import Any

from chaos.errors import RefusedError, UsageError
from chaos.live.proxy.active import ActiveToxic
from chaos.live.proxy.addresses import parse_address
from chaos.live.proxy.link import Link
from chaos.live.proxy.settings import ProxyChange, ProxySettings, ToxicChange, ToxicSettings
from chaos.live.proxy.steps import Direction
from chaos.seed import Seed

BACKLOG = 1024
LINKS_MAX = 10_000
ACCEPT_PAUSE_S = 0.05
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Proxy:
    """A proxy; ``open`` lets it listen. Raises ``UsageError`` and ``RefusedError`` for bad addresses and toxics."""

    def __init__(self, settings: ProxySettings) -> None:
        self.name = settings.name
        self.listen, self.upstream = parse_address(settings.listen), parse_address(settings.upstream)
        self.bytes = {Direction.UPSTREAM: 0, Direction.DOWNSTREAM: 0}
        self.accepted = self.refused = 0
        self.toxics: dict[str, ActiveToxic] = {}
        self._seed = Seed(settings.seed).child(settings.name)
        self._links: dict[int, Link] = {}
        self._listening: socket.socket | None = None
        self._inode = (0, 0)
        for toxic in settings.toxics:
            self.add_toxic(toxic)

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"Proxy({self.name}, {self.listen} → {self.upstream}, {state}, {len(self._links)} connections)"

    @property
    def is_open(self) -> bool:
        """Return whether connections are taken."""
        return self._listening is not None

    def open(self) -> None:
        """Take connections from now on (harmless to repeat). Raises ``UsageError`` when the address is taken."""
        if self._listening is not None:
            return
        if self.listen.path and os.path.lexists(self.listen.path):
            raise RefusedError(f"listening at {self.listen}", "something is there already, and it is not ours")
        made = self.listen.socket()
        try:
            if not self.listen.path:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(self.listen.target)
            made.listen(BACKLOG)
        except OSError as error:
            made.close()
            raise UsageError(f"a free address at {self.listen}", str(error.strerror), "choose another") from error
        if self.listen.path:
            self._inode = _inode(self.listen.path)
        else:
            self.listen = replace(self.listen, port=made.getsockname()[1])
        self._listening = made
        asyncio.get_running_loop().add_reader(made, self._accept)

    def close(self) -> None:
        """Take no more connections and close those that are open. Idempotent."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
            if self.listen.path and _inode(self.listen.path) == self._inode:
                os.unlink(self.listen.path)
        for link in list(self._links.values()):
            link.close()

    def change(self, change: ProxyChange) -> None:
        """Change addresses (which closes all connections) or open and close it. Raises as the constructor does."""
        listen = self.listen if change.listen is None else parse_address(change.listen)
        upstream = self.upstream if change.upstream is None else parse_address(change.upstream)
        wants_open = self.is_open if change.enabled is None else change.enabled
        if (listen, upstream) != (self.listen, self.upstream):
            self.close()
            self.listen, self.upstream = listen, upstream
        if wants_open:
            self.open()
        else:
            self.close()

    def add_toxic(self, settings: ToxicSettings) -> ActiveToxic:
        """Let a toxic work, also in the connections that are open. Raises ``UsageError``."""
        if settings.label in self.toxics:
            raise UsageError("a new name for a toxic", repr(settings.label), "remove or update the one that is there")
        toxic = ActiveToxic(settings)
        self._work(toxic)
        return toxic

    def change_toxic(self, name: str, change: ToxicChange) -> ActiveToxic:
        """Exchange a toxic's toxicity and attributes; it begins anew in every connection, its counts go on."""
        old = self.toxics[name]
        attributes = {**old.settings.attributes, **change.attributes}
        toxicity = old.settings.toxicity if change.toxicity is None else change.toxicity
        new = ActiveToxic(replace(old.settings, toxicity=toxicity, attributes=attributes))
        self.remove_toxic(name)
        new.reached, new.fired = old.reached, old.fired
        self._work(new)
        return new

    def remove_toxic(self, name: str) -> None:
        """Take a toxic away, from the connections that are open, too."""
        toxic = self.toxics.pop(name)
        for link in list(self._links.values()):
            link.detach(toxic)

    def as_data(self) -> dict[str, Any]:
        """Return it with Toxiproxy's field names, and our counts beside them."""
        return {
            "name": self.name,
            "listen": str(self.listen),
            "upstream": str(self.upstream),
            "enabled": self.is_open,
            "toxics": [toxic.as_data() for toxic in self.toxics.values()],
            "connections": {"open": len(self._links), "accepted": self.accepted, "refused": self.refused},
            "bytes": {str(direction): count for direction, count in self.bytes.items()},
        }

    def _work(self, toxic: ActiveToxic) -> None:
        self.toxics[toxic.settings.label] = toxic
        for link in list(self._links.values()):
            link.attach(toxic)

    def _accept(self) -> None:
        assert self._listening is not None, "only an open proxy is readable"
        try:
            client, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self._pause()
            return
        client.setblocking(False)
        self.accepted += 1
        if len(self._links) >= LINKS_MAX:
            self.refused += 1
            client.close()
            return
        link = Link(self.accepted, client, self._seed, self._count, self._ended)
        self._links[link.number] = link
        for toxic in self.toxics.values():
            link.attach(toxic)
        link.connect(self.upstream)

    def _pause(self) -> None:
        """Wait for descriptors: an endless loop of failing accepts would starve the connections that are open."""
        listening, loop = self._listening, asyncio.get_running_loop()
        assert listening is not None, "only an open proxy accepts"
        loop.remove_reader(listening)
        loop.call_later(
            ACCEPT_PAUSE_S, lambda: listening is self._listening and loop.add_reader(listening, self._accept)
        )

    def _count(self, direction: Direction, count: int) -> None:
        self.bytes[direction] += count

    def _ended(self, link: Link) -> None:
        del self._links[link.number]


def _inode(path: str) -> tuple[int, int]:
    """Return what identifies the socket at that path; nothing of ours when there is none."""
    with suppress(FileNotFoundError):
        found = os.lstat(path)
        if stat.S_ISSOCK(found.st_mode):
            return found.st_dev, found.st_ino
    return -1, -1
