"""A crowd of hung clients as a process of its own: a thousand of them cost the runner no time.

    python -m chaos.faults.hung_crowd SOCKET EACH LIMIT_S RESULT

It connects EACH clients of every kind, says ``{"hanging": n}`` on stdout once all hang, waits at most LIMIT_S until the
server has closed each, writes what became of them into RESULT and ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from chaos.faults.hung_clients import Cut, Hang, hung_clients
from chaos.history import History

CONNECTING_AT_A_TIME = 50


async def hang_together(address: str, each: int, limit_s: float) -> list[Cut]:
    """Let so many clients of each kind hang; return how each was closed."""
    async with hung_clients(address, History(time.monotonic_ns)) as crowd:
        gate = asyncio.Semaphore(CONNECTING_AT_A_TIME)

        async def one(kind: Hang) -> None:
            async with gate:
                await crowd.hang(kind, limit_s=limit_s)

        async with asyncio.TaskGroup() as group:
            for _ in range(each):
                for kind in Hang:
                    group.create_task(one(kind))
        sys.stdout.write(json.dumps({"hanging": each * len(Hang)}) + "\n")
        sys.stdout.flush()
        return await crowd.cut_off(limit_s=limit_s)


def told(cuts: Sequence[Cut]) -> dict[str, object]:
    """Return what became of the crowd, by kind: how many, how many were closed, and the latest of these."""
    kinds = {}
    for kind in Hang:
        closed = [cut.closed_after_s for cut in cuts if cut.hang is kind and cut.closed_after_s is not None]
        count = sum(cut.hang is kind for cut in cuts)
        kinds[str(kind)] = {"count": count, "closed": len(closed), "latest_s": max(closed, default=0.0)}
    return {"kinds": kinds}


def main(arguments: Sequence[str]) -> None:
    """Run the crowd that the command line asks for."""
    address, each, limit_s, result = arguments
    cuts = asyncio.run(hang_together(address, int(each), float(limit_s)))
    Path(result).write_text(json.dumps(told(cuts)))


if __name__ == "__main__":
    main(sys.argv[1:])
