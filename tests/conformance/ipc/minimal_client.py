"""A client of IPC protocol 2.0, written from the protocol's description alone: blocking sockets, nothing of ours."""

from __future__ import annotations

import json
import socket
import uuid
from typing import Any


class MinimalClient:
    """Connects, reads the hello, and then asks one thing at a time."""

    def __init__(self, path: str, *, timeout_s: float = 5.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        self.socket.connect(path)
        self.hello = self.receive()

    def receive(self) -> dict[str, Any]:
        """Return the next message; raises ``EOFError`` when the server has closed."""
        message = json.loads(self._read(int.from_bytes(self._read(4), "big")))
        assert isinstance(message, dict), "every message is an object"
        return message

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError("the server closed the connection")
            data += piece
        return data

    def send(self, body: bytes) -> None:
        """Send one frame."""
        self.socket.sendall(len(body).to_bytes(4, "big") + body)

    def call(self, command: str, args: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
        """Send a request and return the answer, which must be to this request."""
        request = {"command": command, "request_id": str(uuid.uuid4()), "protocol_version": "2.0", "args": args or {}}
        request |= other
        self.send(json.dumps(request).encode("utf-8"))
        answer = self.receive()
        assert answer["request_id"] == request["request_id"]
        return answer

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
