"""An IPC server that answers another request than the one that was asked, or answers too late: what a client must see.

It greets as a real one does, and proves to a client that only the request's id tells its answer from somebody else's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chaos.faults.hung_clients import frame

HELLO = {"protocol_version": "2.0", "server_version": "0", "instance_id": "default", "capabilities": []}
FOREIGN = {"success": True, "data": {"status": "Running"}, "error": None, "protocol_version": "2.0"}


class LyingServer:
    """Answers every request under a foreign id; ``answered`` counts."""

    def __init__(self) -> None:
        self.answered = 0

    def __repr__(self) -> str:
        return f"LyingServer({self.answered} answers)"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it leaves."""
        try:
            writer.write(frame({**HELLO, "requires_auth": False}))
            while head := await reader.readexactly(4):
                json.loads(await reader.readexactly(int.from_bytes(head)))
                writer.write(frame({**FOREIGN, "request_id": "00000000-0000-4000-8000-000000000000"}))
                self.answered += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # The client has left, as it should.
        finally:
            writer.close()


@asynccontextmanager
async def lying_server(path: Path) -> AsyncIterator[LyingServer]:
    """Listen at ``path``, a unix socket, inside the context."""
    server = LyingServer()
    listening = await asyncio.start_unix_server(server.serve, path)
    try:
        yield server
    finally:
        listening.close()
