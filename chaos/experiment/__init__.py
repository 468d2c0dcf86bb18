"""Experiments: any executable put to the proof as a TOML file describes, its lines of steady state as properties."""

from __future__ import annotations

from chaos.experiment.document import Document, read_document
from chaos.experiment.model import Experiment, read_experiment
from chaos.experiment.play import Play
from chaos.experiment.words import told_in_words

__all__ = ["Document", "Experiment", "Play", "read_document", "read_experiment", "told_in_words"]
