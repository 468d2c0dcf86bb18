"""H1 in virtual time: what is kept, in what order it leaves, and what nothing may overwrite."""

from __future__ import annotations
