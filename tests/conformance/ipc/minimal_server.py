"""A server of IPC protocol 2.0, written from the protocol's description alone: blocking sockets, nothing of ours.

It has no error codes, as the public server has none, and keeps every byte that it receives.
"""

from __future__ import annotations

import hmac
import json
import socket
import threading
from typing import Any


class MinimalServer:
    """Serves one connection after the other in a thread, until closed."""

    def __init__(self, path: str, *, secret: str | None = None, commands: dict[str, Any] | None = None) -> None:
        self.secret, self.commands = secret, commands or {}
        self.pieces: list[bytes] = []
        self.requests: list[dict[str, Any]] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(path)
        self._listening.listen()
        self._thread = threading.Thread(target=self._run, name="minimal IPC server")
        self._thread.start()

    def close(self) -> None:
        """Stop accepting and wait for the thread; the client must have closed its connection."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listening.close()
        assert not self._thread.is_alive(), "the client has left its connection open"

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        hello = {
            "protocol_version": "2.0",
            "server_version": "minimal",
            "instance_id": "default",
            "requires_auth": self.secret is not None,
            "capabilities": ["rate_limit"],
            "a_field_of_tomorrow": [1, 2, 3],
        }
        self._send(connection, hello)
        authenticated = self.secret is None
        while piece := connection.recv(2_000_000):
            self.pieces.append(piece)
            request = json.loads(piece[4:])
            self.requests.append(request)
            command, token = request.get("command", ""), request.get("args", {}).get("token", "")
            if command == "auth" and self.secret is not None:
                authenticated = hmac.compare_digest(token, self.secret)
                error = None if authenticated else "Invalid token"
                self._answer(connection, request, {"authenticated": authenticated}, error)
            elif command == "ping":
                self._answer(connection, request, {"pong": True, "authenticated": authenticated})
            elif not authenticated:
                self._answer(connection, request, None, "Authentication required")
            elif command in self.commands:
                self._answer(connection, request, self.commands[command])
            else:
                self._answer(connection, request, None, f"Unknown command: {command}")

    def _answer(self, connection: socket.socket, request: dict[str, Any], data: Any, error: str | None = None) -> None:
        self._send(
            connection,
            {
                "success": error is None,
                "data": data,
                "error": error,
                "request_id": request.get("request_id", ""),
                "protocol_version": "2.0",
            },
        )

    def _send(self, connection: socket.socket, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode("utf-8")
        connection.sendall(len(body).to_bytes(4, "big") + body)
