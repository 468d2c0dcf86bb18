"""The fields of a form, one for each kind of setting; each shows its own error, in the configuration's own words (H4).

A field takes whatever is typed: a number that is none goes to the configuration's check as the text it is, and comes
back as that check's message. So there is one set of rules, and it is not here.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from pywats_reliability.config import Setting
from pywats_reliability.errors import ConfigError

PROSE_LINES = 3


class Field(QWidget):
    """A setting with its label, its editor and its error. ``edited`` tells of every change by the person."""

    edited = Signal()

    def __init__(self, setting: Setting, label: str, editor: QWidget) -> None:
        super().__init__()
        self.setting, self.editor = setting, editor
        self.setObjectName(f"field_{setting.name}")
        editor.setObjectName(setting.name)
        self.label = QLabel(label)
        self.label.setObjectName("field_label")
        self.label.setBuddy(editor)
        self.error = QLabel(self)
        self.error.setObjectName("field_error")
        self.error.setWordWrap(True)
        self.error.hide()
        editor.setToolTip(setting.rule_text)
        editor.setAccessibleName(label.replace("&", ""))
        self._shown: Any = None
        self.is_known = False
        self.setEnabled(False)  # Until what is in force is known: an empty editor is not to look like a setting.
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(3)
        self._box.addWidget(editor)
        self._box.addWidget(self.error)

    def value(self) -> Any:
        """Return what would be saved, valid or not."""
        raise NotImplementedError

    def put(self, value: Any) -> None:
        """Put a value into the editor."""
        raise NotImplementedError

    @property
    def is_changed(self) -> bool:
        """True when the person has changed it since it was shown."""
        return self.is_known and bool(self.value() != self._shown)

    def show_saved(self, value: Any, *, keep_edit: bool = False) -> None:
        """Show what is in force; with ``keep_edit`` an edit of the person stays."""
        is_kept = keep_edit and self.is_changed
        if not is_kept:
            self.put(value)
            self.show_error("")
        self._shown, self.is_known = value, True
        self.setEnabled(True)

    def check(self) -> bool:
        """Hold the value against the setting's own rule; show its message when it does not hold."""
        try:
            self.setting.check(self.value())
        except ConfigError as error:
            self.show_error(str(error))
            return False
        self.show_error("")
        return True

    def show_error(self, words: str) -> None:
        """Show what is wrong at the field; empty words: nothing."""
        self.error.setText(words)
        self.error.setVisible(bool(words))
        self.editor.setProperty("wrong", bool(words))
        self.editor.setAccessibleDescription(words or self.setting.rule_text)
        self.editor.style().unpolish(self.editor)
        self.editor.style().polish(self.editor)


class TextField(Field):
    """A line of text."""

    def __init__(self, setting: Setting, label: str) -> None:
        self.line = QLineEdit()
        super().__init__(setting, label, self.line)
        self.line.textEdited.connect(self.edited)

    def value(self) -> Any:
        """Return the text."""
        return self.line.text()

    def put(self, value: Any) -> None:
        """Put the text into the line."""
        self.line.setText(str(value))
        self.line.setCursorPosition(0)


class NumberField(TextField):
    """A number, typed as text; what is no number stays the text it is."""

    def value(self) -> Any:
        """Return the number, or the text that is none."""
        text = self.line.text().strip()
        try:
            return float(text) if self.setting.type_text.startswith("float") else int(text)
        except ValueError:
            return text


class ChoiceField(Field):
    """One of several texts."""

    def __init__(self, setting: Setting, label: str) -> None:
        self.choices = QComboBox()
        self.choices.addItems(setting.choices)
        self.choices.setCurrentIndex(-1)
        super().__init__(setting, label, self.choices)
        self.choices.textActivated.connect(self.edited)

    def value(self) -> Any:
        """Return the text chosen."""
        return self.choices.currentText()

    def put(self, value: Any) -> None:
        """Choose a text; one that this version does not know is shown all the same."""
        if self.choices.findText(str(value)) < 0:
            self.choices.addItem(str(value))
        self.choices.setCurrentText(str(value))


class CheckField(Field):
    """Yes or no; its label is the box's own."""

    def __init__(self, setting: Setting, label: str) -> None:
        self.box = QCheckBox(label)
        super().__init__(setting, label, self.box)
        self.box.clicked.connect(self.edited)

    def value(self) -> Any:
        """Return whether it is ticked."""
        return self.box.isChecked()

    def put(self, value: Any) -> None:
        """Tick it or not."""
        self.box.setChecked(bool(value))


class ProseField(Field):
    """A text of several lines."""

    def __init__(self, setting: Setting, label: str) -> None:
        self.prose = QPlainTextEdit()
        self.prose.setTabChangesFocus(True)
        super().__init__(setting, label, self.prose)
        self.prose.setFixedHeight(self.prose.fontMetrics().lineSpacing() * PROSE_LINES + 16)
        self.prose.textChanged.connect(self.edited)

    def value(self) -> Any:
        """Return the text."""
        return self.prose.toPlainText()

    def put(self, value: Any) -> None:
        """Put the text into the editor."""
        self.prose.setPlainText(str(value))


class SecretField(Field):
    """A secret: what is set is never shown; what is typed replaces it; it can be removed."""

    def __init__(self, setting: Setting, label: str) -> None:
        self.line = QLineEdit()
        self.line.setEchoMode(QLineEdit.EchoMode.Password)
        super().__init__(setting, label, self.line)
        self.remove = QPushButton(self.tr("Remove"))
        self.remove.setObjectName(f"{setting.name}_remove")
        self.remove.setCheckable(True)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.line, 1)
        row.addWidget(self.remove)
        self._box.insertLayout(0, row)
        self.line.textEdited.connect(self.edited)
        self.remove.clicked.connect(self.edited)

    @property
    def is_changed(self) -> bool:
        """True when another secret was typed, or this one is to be removed."""
        return self.is_known and (bool(self.line.text()) or self.remove.isChecked())

    def value(self) -> Any:
        """Return what replaces the secret."""
        return "" if self.remove.isChecked() else self.line.text()

    def put(self, value: Any) -> None:
        """Say whether there is a secret."""
        self.line.clear()
        self.remove.setChecked(False)
        self.remove.setEnabled(bool(value))
        kept = self.tr("set; type another to replace it")
        self.line.setPlaceholderText(kept if value else self.tr("none"))

    def show_saved(self, value: Any, *, keep_edit: bool = False) -> None:
        """Show whether a secret is in force; with ``keep_edit`` what was typed stays."""
        if not (keep_edit and self.is_changed):
            self.put(value)
            self.show_error("")
        self.is_known = True
        self.setEnabled(True)


def field_for(setting: Setting, label: str, *, is_prose: bool = False) -> Field:
    """Return the field that fits a setting."""
    if setting.secret:
        field: Field = SecretField(setting, label)
    elif setting.type_text == "bool":
        field = CheckField(setting, label)
    elif setting.choices:
        field = ChoiceField(setting, label)
    elif setting.type_text.startswith(("int", "float")):
        field = NumberField(setting, label)
        field.editor.setMaximumWidth(220)
    else:
        field = ProseField(setting, label) if is_prose else TextField(setting, label)
    policy = QSizePolicy.Policy
    field.setSizePolicy(policy.Expanding, policy.Fixed if is_prose else policy.Preferred)
    return field
