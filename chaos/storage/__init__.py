"""What a disk holds and what a crash may leave of it: pure, the same for a simulated disk and a recorded process."""

from chaos.storage.crash_states import CrashState, CrashStates, Limits, crash_states
from chaos.storage.outcomes import Loss, Losses, draw_outcome
from chaos.storage.page_cache import PageCache
from chaos.storage.persistence import EXT4_ORDERED, EXT4_WRITEBACK, MODELS, NTFS, POSIX, XFS, Persistence, model_named
from chaos.storage.tree import Contents, Symlink, Tree, contents_key, difference

__all__ = [
    "EXT4_ORDERED",
    "EXT4_WRITEBACK",
    "MODELS",
    "NTFS",
    "POSIX",
    "XFS",
    "Contents",
    "CrashState",
    "CrashStates",
    "Limits",
    "Loss",
    "Losses",
    "PageCache",
    "Persistence",
    "Symlink",
    "Tree",
    "contents_key",
    "crash_states",
    "difference",
    "draw_outcome",
    "model_named",
]
