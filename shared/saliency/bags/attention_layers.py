"""The parts of attention pooling that explanations work on."""

from __future__ import annotations

from torch import nn

from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.base import Pooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling

__all__ = ["as_attention", "as_attention_maximum", "hidden_layers"]

# exactly these classes: a subclass may pool otherwise
ATTENTION = (AttentionPooling, GatedAttentionPooling)


def as_attention(pooling: Pooling) -> AttentionPooling | None:
    """Return the pooling if it is plain or gated attention, else ``None``."""
    return pooling if isinstance(pooling, AttentionPooling) and type(pooling) in ATTENTION else None


def as_attention_maximum(pooling: Pooling) -> AttentionMaximumPooling | None:
    """Return the pooling if it is attention with the maximum beside it, else ``None``."""
    exactly = type(pooling) is AttentionMaximumPooling
    return pooling if isinstance(pooling, AttentionMaximumPooling) and exactly else None


def hidden_layers(pooling: AttentionPooling) -> list[nn.Linear]:
    """Return the layers before the nonlinearities: V, and with a gate also U."""
    sequences = [pooling.hidden, *([pooling.gate] if isinstance(pooling, GatedAttentionPooling) else [])]
    return [layer for sequence in sequences for layer in sequence if isinstance(layer, nn.Linear)]
