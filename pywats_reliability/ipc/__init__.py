"""IPC between a service and its clients: protocol 2.0 of the public pyWATS client, and a server that never hangs."""

from pywats_reliability.ipc.address import Address, TcpAddress, UnixAddress, default_address, logical_name
from pywats_reliability.ipc.client import AsyncIPCClient
from pywats_reliability.ipc.limits import IPCLimits
from pywats_reliability.ipc.messages import JSON, PROTOCOL_VERSION, Hello
from pywats_reliability.ipc.secret import load_or_create_secret, load_secret, secret_path
from pywats_reliability.ipc.server import AsyncIPCServer, IPCCounts
from pywats_reliability.ipc.session import Answer, CommandHandler

__all__ = [
    "JSON",
    "PROTOCOL_VERSION",
    "Address",
    "Answer",
    "AsyncIPCClient",
    "AsyncIPCServer",
    "CommandHandler",
    "Hello",
    "IPCCounts",
    "IPCLimits",
    "TcpAddress",
    "UnixAddress",
    "default_address",
    "load_or_create_secret",
    "load_secret",
    "logical_name",
    "secret_path",
]
