"""``python -m chaos.live.proxy``: the fault proxies, as a child process."""

from __future__ import annotations

from chaos.live.proxy.process import command

if __name__ == "__main__":
    command()
