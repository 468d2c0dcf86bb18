"""A page of settings: shows those in force, checks what is typed, saves what was changed, and proves that it is so.

* Errors stand at the field that has them, in the configuration's own words: before saving by the same rules, after it
  by what the service says (rules across fields, H4.4).
* Saved means: the service's answer shows the new values in force. Anything else is an error.
* What the person has typed and not saved is never overwritten by loading.
"""

from __future__ import annotations

from typing import Any, ClassVar

from PySide6.QtWidgets import QFormLayout, QFrame, QLabel, QVBoxLayout

from pywats_reliability.config import SETTINGS
from pywats_reliability.errors import AnswerMalformedError
from pywats_reliability.gui.fields import CheckField, Field, field_for
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.service_answers import settings_in
from pywats_reliability.gui.trouble import settings_named

Section = tuple[str, tuple[tuple[str, str], ...]]


class FormPage(Page):
    """A page made of settings; a subclass gives the ``sections``: titles with (setting, label) pairs."""

    prose: ClassVar[frozenset[str]] = frozenset()

    def sections(self) -> tuple[Section, ...]:
        """Return what the form is made of."""
        raise NotImplementedError

    def build(self, content: QVBoxLayout) -> None:
        """Make the form, and below it Save and Revert."""
        self.fields: dict[str, Field] = {}
        for title, rows in self.sections():
            content.addWidget(self._section(title, rows))
        self.build_more(content)
        self.save_button = self.action_button("save", self.tr("&Save"), self.save, main=True)
        self.revert_button = self.action_button("revert", self.tr("Re&vert"), self.revert)
        self.unsaved = QLabel(self.tr("Unsaved changes"))
        self.unsaved.setObjectName("unsaved")
        for widget in (self.save_button, self.revert_button, self.unsaved):
            self.footer.addWidget(widget)
        self.footer.addStretch()
        self.enable_actions()

    def build_more(self, content: QVBoxLayout) -> None:
        """Make what stands between the form and its buttons: nothing, unless a subclass has more."""

    async def load(self) -> str:
        """Show the settings in force; what was typed and not saved stays."""
        answer = await self.service.request("get_config")
        self.show_settings(answer, command="get_config", keep_edit=True)
        return ""

    def show_settings(self, answer: object, *, command: str, keep_edit: bool) -> None:
        """Show the settings that an answer holds. Raises ``AnswerMalformedError``, and then shows nothing of it."""
        for name, value in settings_in(answer, self.fields, command=command).items():
            self.fields[name].show_saved(value, keep_edit=keep_edit)
        self.enable_actions()

    def changes(self) -> dict[str, Any]:
        """Return what would be saved: the settings that were changed."""
        return {name: field.value() for name, field in self.fields.items() if field.is_changed}

    def save(self) -> None:
        """Save what was changed, if it holds."""
        if all([self.fields[name].check() for name in self.changes() if name in self.fields]):  # noqa: C419 - each says
            self.act(self.tr("Saving the settings"), self._save)

    def revert(self) -> None:
        """Forget what was typed, and show what is in force."""
        self.act(self.tr("Loading"), self._revert, is_load=True)

    def enable_actions(self) -> None:
        """Save and Revert need a change."""
        super().enable_actions()
        if hasattr(self, "unsaved"):
            is_changed = bool(self.changes())
            self.unsaved.setVisible(is_changed)
            for button in (self.save_button, self.revert_button):
                button.setEnabled(is_changed and not self.is_busy)

    async def _save(self) -> str:
        changes = self.changes()
        try:
            answer = await self.service.request("set_config", {"settings": changes})
        except Exception as error:
            self._show_at_fields(error)
            raise
        self._require_in_force(changes, answer)
        self.show_settings(answer, command="set_config", keep_edit=False)
        return self.tr("Saved: {}").format(", ".join(sorted(changes)))

    async def _revert(self) -> str:
        self.show_settings(await self.service.request("get_config"), command="get_config", keep_edit=False)
        return ""

    def _require_in_force(self, changes: dict[str, Any], answer: object) -> None:
        """Raise unless the answer shows each change in force; of a secret it can show only that there is one."""
        found = settings_in(answer, changes, command="set_config")
        for name, value in changes.items():
            is_so = bool(found[name]) == bool(value) if SETTINGS[name].secret else found[name] == value
            if not is_so:
                shown = "another" if SETTINGS[name].secret else repr(found[name])
                raise AnswerMalformedError("set_config", f"the new {name} in force", shown)

    def _show_at_fields(self, error: BaseException) -> None:
        words = getattr(error, "message", None) or str(error)
        for name in settings_named(error):
            if name in self.fields:
                self.fields[name].show_error(str(words))

    def _edited(self, field: Field) -> None:
        if field.is_changed:
            field.check()
        else:
            field.show_error("")
        self.enable_actions()

    def _section(self, title: str, rows: tuple[tuple[str, str], ...]) -> QFrame:
        frame = QFrame()
        frame.setObjectName("card")
        box = QVBoxLayout(frame)
        box.setContentsMargins(16, 12, 16, 14)
        if title:
            heading = QLabel(title)
            heading.setObjectName("section")
            box.addWidget(heading)
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setHorizontalSpacing(18)
        form.setVerticalSpacing(9)
        for name, label in rows:
            self._add_row(form, name, label)
        box.addLayout(form)
        return frame

    def _add_row(self, form: QFormLayout, name: str, label: str) -> None:
        field = field_for(SETTINGS[name], label, is_prose=name in self.prose)
        self.fields[name] = field
        if isinstance(field, CheckField):
            form.addRow(field)
        else:
            form.addRow(field.label, field)
        self.holdings.connect(f"edits of {name}", field.edited, lambda: self._edited(field))
