"""Connection: the server's address and the token, tried before they are trusted, and a report sent to see it arrive.

* The test asks the service to reach the server with what stands in the form, saved or not; the token goes no other way
  than to the service, over IPC.
* A test upload counts as done only when the service says that the report is in ``sent/``.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

from pywats_reliability.errors import UploadFailedError
from pywats_reliability.gui.fields import Field
from pywats_reliability.gui.form_page import FormPage, Section
from pywats_reliability.gui.service_answers import object_in, part_of, settings_in


class ConnectionPage(FormPage):
    """The way to the server."""

    name = "Connection"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("Connection")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("The WATS server that gets the reports, and what this station shows to be let in.")

    def sections(self) -> tuple[Section, ...]:
        """Return the settings of the server."""
        rows = (
            ("service_address", self.tr("Server &address")),
            ("api_token", self.tr("Token")),
            ("upload_timeout_seconds", self.tr("Upload time li&mit, s")),
            ("max_concurrent_uploads", self.tr("U&ploads at a time")),
        )
        return ((self.tr("Server"), rows),)

    def build_more(self, content: QVBoxLayout) -> None:
        """Make the test and the test upload."""
        row = QHBoxLayout()
        row.addWidget(self.action_button("test", self.tr("Test &connection"), self.test))
        row.addWidget(self.action_button("upload", self.tr("Send a test &report"), self.upload))
        row.addStretch()
        content.addLayout(row)

    def test(self) -> None:
        """Have the service reach the server, with what stands in the form."""
        wanted: list[Field] = [self.fields[name] for name in ("service_address", "api_token")]
        if all([field.check() for field in wanted if field.is_changed]):  # noqa: C419 - each shows its own error
            self.act(self.tr("Testing the connection"), self._test)

    def upload(self) -> None:
        """Hand over a test report and follow it to the server."""
        self.act(self.tr("Sending a test report"), self._upload, limit_s=self.place.limits.upload_s)

    async def _test(self) -> str:
        tried = {name: value for name, value in self.changes().items() if name in ("service_address", "api_token")}
        answer = await self.service.request("test_server", {"settings": tried}, timeout_s=self.place.limits.action_s)
        version = part_of("test_server", answer, "version", str)
        address = part_of("test_server", answer, "service_address", str)
        unsaved = self.tr(" What was tried is not saved yet.") if tried else ""
        return self.tr("{} answers, version {}; it does not refuse the token.").format(address, version) + unsaved

    async def _upload(self) -> str:
        report = trial_report(await self.service.request("get_config"))
        answer = await self.service.request("submit", {"report": json.dumps(report), "priority": 1})
        report_id = part_of("submit", answer, "id", str)
        folder, why = "", ""
        try:
            async with asyncio.timeout(self.place.limits.upload_s * 0.9):
                while folder not in ("sent", "failed", "quarantine"):
                    await asyncio.sleep(self.place.limits.follow_s)
                    folder, why = await self._whereabouts(report_id)
        except TimeoutError as error:
            found = f"it is still in {folder or 'the queue'}" + (f" ({why})" if why else "")
            to_do = "it is kept and sent as soon as that is possible: test the connection to see what stands in the way"
            raise UploadFailedError(report_id, found, to_do) from error
        if folder != "sent":
            to_do = "mend what the server says, then retry it from the dashboard"
            raise UploadFailedError(report_id, f"it in {folder}/ ({why or 'no reason is given'})", to_do)
        return self.tr("The server has test report {}.").format(report_id)

    async def _whereabouts(self, report_id: str) -> tuple[str, str]:
        answer = await self.service.request("show_report", {"id": report_id})
        places = part_of("show_report", answer, "places", list)
        place = object_in("show_report", places[0] if places else None)
        return part_of("show_report", place, "folder", str), str(place.get("last_error") or place.get("why") or "")


def trial_report(settings: object) -> dict[str, Any]:
    """Return a small passed report that says what it is, with the station's own name and place."""
    known = settings_in(settings, ("station_name", "location"))
    now = datetime.now(UTC).astimezone()
    return {
        "id": str(uuid.uuid4()),
        "type": "T",
        "pn": "PYWATS-TEST",
        "sn": f"TEST-{now:%Y%m%d-%H%M%S}",
        "rev": "1",
        "processCode": 10,
        "machineName": known["station_name"] or "configurator",
        "location": known["location"] or "unknown",
        "purpose": "Test of the connection",
        "result": "P",
        "start": now.isoformat(),
        "root": {"stepType": "SequenceCall", "name": "Test of the connection", "status": "P", "group": "M",
                 "seqCall": {"path": "configurator", "name": "test", "version": "1"}, "steps": []},
    }  # fmt: skip
