"""Is anybody still writing? Where the system can tell, a writer that pauses with its file open is noticed (C1.9).

Linux grants a read lease on a file only while nobody has it open for writing. The lease is given back at once; should a
writer come in that instant, it waits for microseconds, and we get a signal that is ignored by default (``SIGURG``, not
the lease's own ``SIGIO``, which would end the process). Everywhere else, on network drives, and for files of other
users, the answer is "not known", and only the looks decide.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

if sys.platform == "linux":
    import fcntl

WriterCheck = Callable[[Path], bool]
"""Returns whether a file is known to be open for writing."""


def never_known(_path: Path) -> bool:
    """Say nothing: for places where the system cannot be asked, such as a simulated disk."""
    return False


def is_open_for_writing(path: Path) -> bool:
    """Return whether some process, known to the system, has the file open for writing. Blocks; call it in a thread."""
    if sys.platform != "linux":
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False  # Whether it can be read is found out by who reads it.
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
