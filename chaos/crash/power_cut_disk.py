"""A small real file system that can lose its power: an image, mounted where only this process sees it.

* Runs in a mount namespace of its own, which ``power_cut`` makes: the mount goes with the last process in it, and the
  loop device with the mount. Nothing has to be undone by anybody.
* The cut is the file system's own shutdown, without a flush of its log: what is in memory is gone, as without power.
  Programs are alive until then, and get I/O errors afterwards. Mounting again is the recovery.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path

FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), the same for ext4, xfs and f2fs.
WITHOUT_LOG_FLUSH = 2
IMAGE_BYTES = {"ext4": 64 << 20, "xfs": 320 << 20}  # Sparse; mkfs.xfs refuses smaller ones.
MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
}
COMMAND_LIMIT_S = 30


class PowerCutDisk:
    """One file system in one image. ``place`` is an empty private folder."""

    def __init__(self, filesystem: str, place: Path, options: str = "") -> None:
        self._filesystem, self._options = filesystem, options
        self._image, self.root = place / "image", place / "disk"

    def __repr__(self) -> str:
        return f"PowerCutDisk({self._filesystem}, {self.root})"

    def make(self) -> None:
        """Make the file system and mount it. Raises ``DiskError``."""
        with self._image.open("wb") as image:
            image.truncate(IMAGE_BYTES[self._filesystem])
        self.root.mkdir()
        _run(*MAKE[self._filesystem], str(self._image))
        self.mount()

    def mount(self) -> None:
        """Mount it; after a cut, this is the recovery. Raises ``DiskError``."""
        options = ",".join(("loop", *filter(None, (self._options,))))
        _run("mount", "-t", self._filesystem, "-o", options, str(self._image), str(self.root))

    def cut(self) -> None:
        """Take the power away. Raises ``OSError``."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def recover(self) -> None:
        """Mount it again after a cut; nobody may have a file open in it. Raises ``DiskError``."""
        self.unmount()
        self.mount()

    def unmount(self) -> None:
        """Unmount it; the loop device goes with it. Raises ``DiskError``."""
        _run("umount", str(self.root))


class DiskError(Exception):
    """A command on the disk failed; its words say why."""


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DiskError(f"{words[0]}: {error}") from error
    if done.returncode:
        raise DiskError(f"{words[0]}: {done.stderr.strip() or f'exit code {done.returncode}'}")
