"""The sequence transformer: plays in order, a causal encoder, a loss over the whole catalogue."""

from offline.models.sequence.model import SequenceModel
from offline.models.sequence.settings import SequenceSettings

__all__ = ["SequenceModel", "SequenceSettings"]
