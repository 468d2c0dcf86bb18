"""Stories of which every crash is tried: the subject has a story of each name, and says what must hold in the end.

They are not played step by step like the others: the crash world explores every state that a power loss may leave of
each, under every persistence model, and every crash of the recovery in turn.
"""

from __future__ import annotations

from chaos.errors import NotAvailableError
from chaos.protocols import Scenario, World, WorldKind

ACCEPTING = ("H1.1", "C1.6", "H5.4")
SENDING = ("C1.6", "H1.2", "H1.5", "H1.1", "H5.4")
FAULT = "disk.crash"
LIMIT_S = 240.0


async def _cannot_be_played(_world: World) -> None:
    """Raise ``NotAvailableError``: only the crash world explores."""
    raise NotAvailableError("a story of crash states", "it is explored, not played", "use --world crash")


def explored(story: str, proves: tuple[str, ...], sentence: str) -> Scenario:
    """Return the scenario that explores the subject's story of that name."""
    return Scenario(
        name=f"{proves[0]}/{story}",
        proves=proves,
        worlds=(WorldKind.CRASH,),
        faults=(FAULT,),
        sentence=sentence,
        limit_s=LIMIT_S,
        play=_cannot_be_played,
    )


first_start = explored(
    "first_start", ACCEPTING, "The power is lost while the folders are made and one report accepted."
)
accept_one = explored("accept_one", ACCEPTING, "The power is lost, or a call of the disk fails, while one is accepted.")
accept_two = explored("accept_two", ACCEPTING, "The power is lost while two producers share a commit.")
accept_three = explored("accept_three", ACCEPTING, "The power is lost while three producers share a commit.")
accept_four_with_syncfs = explored(
    "accept_four_with_syncfs", ACCEPTING, "The power is lost while four producers share one sync of the file system."
)
accept_twins = explored(
    "accept_twins",
    ("H1.15", "H1.1", "C1.6"),
    "Two reports of one id and other contents, at one instant: both are kept.",
)
send_one = explored("send_one", SENDING, "The power is lost, or a call fails, anywhere between accepting and sent/.")
send_two = explored("send_two", SENDING, "The power is lost anywhere while two reports are accepted, sent and moved.")
retry_and_fail = explored(
    "retry_and_fail", ("C1.6", "H5.4"), "The power is lost, or a call fails, while a report fails and is queued again."
)
evict = explored(
    "evict", ("H5.4", "C1.6"), "The power is lost, or a call fails, while the oldest makes room for another."
)
quarantine = explored("quarantine", ("C1.6", "H5.4"), "The power is lost while a torn file goes to quarantine.")
save_settings = explored(
    "save_settings", ("C1.10",), "The power is lost, or a call of the disk fails, while the configuration is saved."
)
convert_one = explored(
    "convert_one",
    ("C1.9",),
    "The power is lost, or a call fails, while a dropped log becomes a report and is put away.",
)
import_service_queue = explored(
    "import_service_queue",
    ("H1.1", "H1.5", "H1.15"),
    "The power is lost, or a call fails, while the flat queue of the public client's service is imported.",
)
import_gui_queue = explored(
    "import_gui_queue",
    ("H1.1", "H1.5", "H1.15"),
    "The power is lost while the queue of the public client's GUI, with its envelopes, is imported.",
)
take_over = explored(
    "take_over",
    ("H1.9", "C1.6"),
    "Two services want one folder: the power is lost, or the first is killed at each change while the other waits.",
)
