"""The models against the kernel: what real power cuts leave must be among the enumerated crash states.

    python benchmarks/power_cuts.py [CUTS] [ext4|xfs] [SEED]        200 cuts of a real file system; needs root

Each cut has a program of its own, traced, so that what it had done by then is known; ``flush`` is what the kernel's own
writeback had done shortly before. A state under which a model does not have it is shown, and the exit code is 1.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path

from chaos.crash.power_cut import Moment, PowerCuts, is_among_states
from chaos.storage.crash_states import Limits
from chaos.storage.persistence import EXT4_ORDERED, POSIX, XFS
from chaos.storage.tree import contents_key, difference

TESTS = Path(__file__).parents[1] / "tests" / "crash" / "recorder"
PYTHON = (sys.executable, "-S", "-I")
SUBJECTS = {
    **{
        f"writer, {fault}": (*PYTHON, str(TESTS / "spool_writer.py"), "{dir}", fault, "5")
        for fault in ("none", "no file sync", "no folder sync", "in place", "said too early")
    },
    **{
        f"sqlite3, {journal}, {synchronous}": (
            *PYTHON,
            str(TESTS / "sqlite_writer.py"),
            "{dir}/rows.db",
            journal,
            synchronous,
            "4",
        )
        for journal, synchronous in (("delete", "extra"), ("delete", "full"), ("truncate", "full"))
    },
}
LIMITS = Limits(states=200_000)


def main(cuts: int = 200, filesystem: str = "ext4", seed: int = 1) -> int:
    draw = random.Random(seed)
    own = {"ext4": EXT4_ORDERED, "xfs": XFS}[filesystem]
    answers, kinds, outside = Counter[str](), set[bytes](), 0
    began = time.perf_counter()
    with PowerCuts(filesystem) as disk:
        for number in range(cuts):
            name = draw.choice(list(SUBJECTS))
            moment = Moment(draw.randrange(1, 6), draw.random() * 0.01, draw.choice(("nothing", "data", "all")))
            cut = disk.cut(SUBJECTS[name], moment)
            kinds.add(contents_key(cut.contents))
            for model in (own, POSIX):
                inside = is_among_states(cut, model, LIMITS)
                answers[f"{model}: {'inside' if inside else 'OUTSIDE' if inside is False else 'unknown'}"] += 1
                if inside is False:
                    outside += 1
                    print(f"cut {number}, {name}, {moment}: no state of {model}")
                    print("\n".join(f"    {line}" for line in difference(cut.recording.end(), cut.contents)))
    print(
        f"{filesystem}: {cuts} cuts, {len(kinds)} different folders, {time.perf_counter() - began:.0f} s, seed {seed}"
    )
    for words, count in sorted(answers.items()):
        print(f"  {words:<30} {count}")
    return 1 if outside else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main(*(int(word) if word.isdigit() else word for word in words)))
