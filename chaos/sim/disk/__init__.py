"""The simulated disk: the real file calls of code in the simulation reach a model of page cache and stable storage."""

from chaos.sim.disk.disk import SimDisk
from chaos.sim.disk.faults import Effect, Rule, fail, shorten, slow, tear
from chaos.sim.disk.seam import DiskSeam, add_disk, syncfs
from chaos.sim.disk.volume import Volume

__all__ = ["DiskSeam", "Effect", "Rule", "SimDisk", "Volume", "add_disk", "fail", "shorten", "slow", "syncfs", "tear"]
