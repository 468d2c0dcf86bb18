"""The catalogue of toxics: one per file, by the names of the wire; Toxiproxy's names where it has the same thing."""

from __future__ import annotations

from chaos.live.proxy.steps import Toxic
from chaos.live.proxy.toxics.bandwidth import Bandwidth
from chaos.live.proxy.toxics.black_hole import BlackHole
from chaos.live.proxy.toxics.corrupt import Corrupt
from chaos.live.proxy.toxics.duplicate import Duplicate
from chaos.live.proxy.toxics.half_open import HalfOpen
from chaos.live.proxy.toxics.http_cut import HttpCut
from chaos.live.proxy.toxics.http_fail import HttpFail
from chaos.live.proxy.toxics.http_overlong import HttpOverlong
from chaos.live.proxy.toxics.http_slow_headers import HttpSlowHeaders
from chaos.live.proxy.toxics.http_truncate import HttpTruncate
from chaos.live.proxy.toxics.latency import Latency
from chaos.live.proxy.toxics.limit_data import LimitData
from chaos.live.proxy.toxics.packet_loss import PacketLoss
from chaos.live.proxy.toxics.reset_peer import ResetPeer
from chaos.live.proxy.toxics.slicer import Slicer
from chaos.live.proxy.toxics.slow_close import SlowClose
from chaos.live.proxy.toxics.timeout import Timeout

__all__ = ["TOXICS"]

_CLASSES: tuple[type[Toxic], ...] = (
    Bandwidth,
    BlackHole,
    Corrupt,
    Duplicate,
    HalfOpen,
    HttpCut,
    HttpFail,
    HttpOverlong,
    HttpSlowHeaders,
    HttpTruncate,
    Latency,
    LimitData,
    PacketLoss,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
TOXICS: dict[str, type[Toxic]] = {kind.type: kind for kind in _CLASSES}
