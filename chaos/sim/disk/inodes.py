"""What stands on a simulated disk: files, folders, links and sockets, with what ``stat`` tells of them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

BLOCK_BYTES = 4096
SECTOR_BYTES = 512


@dataclass(slots=True, eq=False)
class Inode:
    """One file, folder, link or socket; ``names`` of a folder are in the order in which they were made."""

    number: int
    mode: int
    device: int
    data: bytearray = field(default_factory=bytearray)
    names: dict[str, Inode] = field(default_factory=dict)
    target: str = ""
    links: int = 1
    times_ns: list[int] = field(default_factory=lambda: [0, 0, 0])
    opened: int = 0
    salt: int | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def size(self) -> int:
        """Return its size in bytes as ``stat`` tells it."""
        if self.is_folder:
            return BLOCK_BYTES
        return len(self.target.encode("utf-8", "surrogateescape")) if self.is_link else len(self.data)

    def touch(self, now_ns: int, *, contents: bool = True) -> None:
        """Note a change of its contents, or of what is told of it only."""
        if contents:
            self.times_ns[1] = now_ns
        self.times_ns[2] = now_ns

    def stat(self) -> os.stat_result:
        """Return what ``os.stat`` gives."""
        accessed, modified, changed = self.times_ns
        links = 2 + sum(inode.is_folder for inode in self.names.values()) if self.is_folder else self.links
        blocks = -(-self.size // BLOCK_BYTES) * (BLOCK_BYTES // SECTOR_BYTES)
        return os.stat_result(
            (
                *(self.mode, self.number, self.device, links, os.getuid(), os.getgid(), self.size),
                *(accessed // 10**9, modified // 10**9, changed // 10**9),
            ),
            {
                "st_atime": accessed / 1e9,
                "st_mtime": modified / 1e9,
                "st_ctime": changed / 1e9,
                "st_atime_ns": accessed,
                "st_mtime_ns": modified,
                "st_ctime_ns": changed,
                "st_blksize": BLOCK_BYTES,
                "st_blocks": blocks,
                "st_rdev": 0,
            },
        )

    def __repr__(self) -> str:
        kind = "folder" if self.is_folder else "link" if self.is_link else "file"
        return f"Inode({kind} {self.number}, {self.size} bytes, {self.links} names)"
