"""The reference service core: it keeps test reports on disk until a WATS server has them, and never loses one."""
