"""What every test may rely on, however the run was started."""

from __future__ import annotations

import signal

from hypothesis import settings

# Property tests are about what is true, not about how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with Ctrl-C ignored, and every process that a test starts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
