"""The one style sheet, light and dark, in text sizes from 100 to 200 %."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass

SIZE_PT, ZOOM_MIN, ZOOM_MAX, ZOOM_STEP = 10.0, 1.0, 2.0, 0.25


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours by their use; text on its ground has a contrast of at least 4.5 to 1."""

    ground: str
    card: str
    side: str
    line: str
    text: str
    soft: str
    accent: str
    accent_text: str
    accent_soft: str
    error: str
    error_ground: str
    warning: str
    warning_ground: str
    success: str
    success_ground: str
    disabled: str


LIGHT = Colours(
    ground="#f4f6f8", card="#ffffff", side="#e8ecf0", line="#c9d1d9", text="#1c2430", soft="#55606e",
    accent="#0b62b0", accent_text="#ffffff", accent_soft="#dbe9f6", error="#b3261e", error_ground="#fdecea",
    warning="#7a4b00", warning_ground="#fff4dc", success="#14633a", success_ground="#e3f5ea", disabled="#8a94a0",
)  # fmt: skip
DARK = Colours(
    ground="#14181d", card="#1d232a", side="#191e24", line="#38424d", text="#e6eaee", soft="#a3aeba",
    accent="#6cb2f2", accent_text="#0d1b2a", accent_soft="#22384d", error="#ff9a92", error_ground="#3b1f1e",
    warning="#f5c56b", warning_ground="#372b14", success="#7fd8a4", success_ground="#17321f", disabled="#6d7883",
)  # fmt: skip

_SHEET = string.Template("""
* { font-size: ${size}pt; color: $text; }
QMainWindow, QWidget#inner, QScrollArea, QStackedWidget { background: $ground; }
QLabel { background: transparent; }
QToolTip { background: $card; color: $text; border: 1px solid $line; padding: 4px; }
QListWidget#navigation { background: $side; border: none; outline: none; padding: 8px 0; }
QListWidget#navigation::item { padding: 7px 14px; margin: 1px 8px; border-radius: 5px; }
QListWidget#navigation::item:selected { background: $accent; color: $accent_text; }
QListWidget#navigation::item:hover:!selected { background: $accent_soft; }
QWidget#side { background: $side; border-right: 1px solid $line; }
QLabel#brand { font-size: ${size_brand}pt; font-weight: 600; padding: 14px 18px 4px 18px; }
QLabel#heading { font-size: ${size_heading}pt; font-weight: 600; }
QLabel#purpose, QLabel#figure_label, QLabel#unsaved { color: $soft; }
QLabel#section { font-weight: 600; }
QLabel#figure { font-size: ${size_figure}pt; font-weight: 600; }
QLabel#reasons { color: $warning; background: $warning_ground; border-radius: 6px; padding: 8px 12px; }
QLabel#field_error { color: $error; }
QLabel#sn_preview { color: $soft; }
QFrame#card { background: $card; border: 1px solid $line; border-radius: 8px; }
QFrame#card QLabel { border: none; }
QFrame#banner { border-radius: 8px; border: 1px solid $line; }
QFrame#banner QLabel { border: none; }
QFrame#banner QLabel#banner_what { font-weight: 600; }
QFrame#banner[kind="error"] { background: $error_ground; border-color: $error; }
QFrame#banner[kind="error"] QLabel#banner_what { color: $error; }
QFrame#banner[kind="warning"] { background: $warning_ground; border-color: $warning; }
QFrame#banner[kind="warning"] QLabel#banner_what { color: $warning; }
QFrame#banner[kind="success"] { background: $success_ground; border-color: $success; }
QFrame#banner[kind="success"] QLabel#banner_what { color: $success; }
QLineEdit, QComboBox, QPlainTextEdit, QListWidget, QTableWidget {
  background: $card; border: 1px solid $line; border-radius: 5px; padding: 4px 7px;
  selection-background-color: $accent; selection-color: $accent_text; }
QTableWidget, QListWidget#events, QPlainTextEdit#lines { padding: 0; alternate-background-color: $ground; }
QTableWidget::item { padding: 3px 7px; }
QTableWidget::item:selected { background: $accent; color: $accent_text; }
QPlainTextEdit#lines { font-family: "DejaVu Sans Mono", Consolas, Menlo, monospace; padding: 4px; }
QLineEdit:focus, QComboBox:focus, QPlainTextEdit:focus, QTableWidget:focus, QListWidget#events:focus {
  border: 2px solid $accent; }
QLineEdit[wrong="true"], QComboBox[wrong="true"], QPlainTextEdit[wrong="true"] { border: 2px solid $error; }
QLineEdit:disabled, QComboBox:disabled, QCheckBox:disabled { color: $disabled; }
QComboBox::drop-down { border: none; width: 26px; }
QComboBox::down-arrow { image: url($arrow); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: $card; color: $text; border: 1px solid $line;
  selection-background-color: $accent; selection-color: $accent_text; }
QHeaderView::section { background: $card; color: $soft; border: none; border-bottom: 1px solid $line;
  padding: 4px 7px; }
QPushButton { background: $card; border: 1px solid $line; border-radius: 5px; padding: 5px 14px; }
QPushButton:hover { background: $accent_soft; }
QPushButton:focus { border: 2px solid $accent; padding: 4px 13px; }
QPushButton[main="true"] { background: $accent; color: $accent_text; border-color: $accent; }
QPushButton[main="true"]:focus { border: 2px solid $text; }
QPushButton:disabled, QPushButton[main="true"]:disabled { color: $disabled; background: $ground; border-color: $line; }
QPushButton:checked { background: $accent_soft; border-color: $accent; }
QCheckBox { spacing: 8px; background: transparent; padding: 2px; border: 2px solid transparent; border-radius: 5px; }
QCheckBox:focus { border-color: $accent; }
QCheckBox::indicator { width: ${box}px; height: ${box}px; border: 1px solid $soft; border-radius: 4px;
  background: $card; }
QCheckBox::indicator:checked { background: $accent; border: 1px solid $accent; image: url($check); }
QProgressBar { border: none; border-radius: 3px; background: $line; }
QProgressBar::chunk { background: $accent; border-radius: 3px; width: 30px; }
QStatusBar { background: $side; border-top: 1px solid $line; }
QStatusBar::item { border: none; }
QLabel#link[up="true"] { color: $success; }
QLabel#link[up="false"] { color: $error; }
QScrollBar:vertical { background: transparent; width: 11px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 11px; margin: 0; }
QScrollBar::handle { background: $disabled; border-radius: 4px; min-height: 30px; min-width: 30px; margin: 2px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
""")


def style_sheet(colours: Colours, zoom: float, images: Mapping[str, str]) -> str:
    """Return the style sheet for these colours and this size of text (1.0 is 100 %).

    ``images`` are the files with the tick of a box (``check``) and the arrow of a choice (``arrow``).
    """
    size = SIZE_PT * zoom
    sizes = {"size": size, "size_heading": size * 1.6, "size_figure": size * 1.5, "size_brand": size * 1.15}
    rounded = {name: f"{value:g}" for name, value in sizes.items()}
    named = {name: getattr(colours, name) for name in Colours.__slots__}
    return _SHEET.substitute(named, **rounded, box=round(15 * zoom), **images)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (``#rrggbb``), from 1 to 21, as WCAG 2 measures it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
