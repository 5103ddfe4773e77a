"""Plain numbers by which a slide's features can be found unusual, whatever the network makes of them."""

from __future__ import annotations

import torch

from shared.mil.ragged import segment_mean

__all__ = ["bag_statistics"]


def bag_statistics(features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return three statistics of each slide.

    Another stain, scanner or scale moves all tiles of a slide; blur and artefacts change how tiles differ. The number
    of tiles is left out: it says how large the piece of tissue is and nothing of what is on it.

    Args:
        features: standardised, ``(T, E)``.
        lengths: tiles of each slide, ``(B,)``.

    Returns:
        ``(B, 3)``: with ``m`` the mean of a slide's features x, the logarithms of ``|m|² / E`` (how far the slide lies
        from the training slides), of the mean of ``|x − m|² / E`` (how much its tiles differ), and of the mean of
        ``(|x − m|² / E)²`` less twice the one before (whether a few of them differ much).
    """
    smallest = torch.finfo(torch.float32).tiny
    mean = segment_mean(features, lengths)  # (B, E)
    apart = (features - torch.repeat_interleave(mean, lengths, dim=0)).square().mean(dim=1)  # (T,)
    position = mean.square().mean(dim=1).clamp_min(smallest).log()
    spread = segment_mean(apart, lengths).clamp_min(smallest).log()
    tail = segment_mean(apart.square(), lengths).clamp_min(smallest).log() - 2 * spread
    return torch.stack([position, spread, tail], dim=1)
