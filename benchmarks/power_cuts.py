"""The models against the kernel: what real power cuts leave must be among the enumerated crash states.

    python benchmarks/power_cuts.py [CUTS] [ext4|xfs] [SEED]        200 cuts of a real file system; needs root

Each cut has a program of its own, traced, so that what it had done by then is known; ``flush`` is what the kernel's own
writeback had done shortly before. A state under which a model does not have it is shown, and the exit code is 1.
"""

from __future__ import annotations

import random
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

from chaos.crash.power_cut import Moment, PowerCuts, is_among_states
from chaos.storage.crash_states import Limits
from chaos.storage.persistence import EXT4_ORDERED, POSIX, XFS
from chaos.storage.tree import contents_key, difference

TESTS = Path(__file__).parents[1] / "tests" / "crash" / "recorder"
PYTHON = (sys.executable, "-S", "-I")
# Small programs for the rules that the writer and sqlite3 do not touch: appending, cutting short, replacing by rename.
INLINE = {
    "appends, some synced": """
        log = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in range(12):
            os.write(log, b"line %d " % number * 12)
            if number % 3 == 2: os.fsync(log)
            say(number)
    """,
    "rewritten in place": """
        for number in range(6):
            config = os.open(f"{folder}/config", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(config, b"setting %d " % number * (number + 5))
            if number % 2: os.fsync(config)
            os.close(config); say(number)
    """,
    "replaced by rename, not synced": """
        for number in range(8):
            config = os.open(f"{folder}/config.tmp", os.O_WRONLY | os.O_CREAT)
            os.write(config, b"setting %d " % number * 40); os.close(config)
            os.rename(f"{folder}/config.tmp", f"{folder}/config"); say(number)
            if number % 3 == 2: os.sync()
    """,
    "folders, links and removals": """
        for number in range(6):
            os.mkdir(f"{folder}/d{number}")
            file = os.open(f"{folder}/d{number}/f", os.O_WRONLY | os.O_CREAT); os.write(file, b"x" * 300)
            os.link(f"{folder}/d{number}/f", f"{folder}/l{number}")
            if number % 2: os.fsync(file)
            os.close(file); os.symlink("d0", f"{folder}/s{number}"); say(number)
            if number > 2: os.unlink(f"{folder}/l{number - 2}"); os.rename(f"{folder}/d{number}", f"{folder}/e{number}")
    """,
}
HEAD = "import os, sys\nfolder = sys.argv[1]\ndef say(number): os.write(1, b'done %d\\n' % number)\n"
SUBJECTS = {
    **{name: (*PYTHON, "-c", HEAD + textwrap.dedent(program), "{dir}") for name, program in INLINE.items()},
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
