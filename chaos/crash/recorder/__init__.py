"""The operation log of a real program: run under strace, translated, replayed and compared with the real folder."""

from chaos.crash.recorder.recording import compared, record

__all__ = ["compared", "record"]
