"""How much the saliency maps of the findings differ from one another: what INFORMER judges predictions by.

Shu et al., "INFORMER: Interpretability founded monitoring of medical image deep learning models", section 2.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

__all__ = ["cosine_distances", "distinctiveness"]


def cosine_distances(maps: torch.Tensor) -> torch.Tensor:
    """Return the cosine distance between the maps of every two findings (equation 1).

    ``d_ij = 1 − ⟨S_i, S_j⟩ / (‖S_i‖ ‖S_j‖)``, from 0 (same map but for a positive factor) over 1 (unrelated) to 2
    (opposite). The equation prints ``CoSim(S_i, S_k)``, where k can only stand for j. Maps enter as they are, with
    their sign and all channels: the paper names no rectification, smoothing or sum over channels.

    Args:
        maps: one saliency map per finding, ``(B, K, …)``.

    Returns:
        Float64 ``(B, K, K)``, symmetric, the diagonal 0. A map that is 0 everywhere has no direction: its row and its
        column are NaN, the diagonal included.

    Raises:
        ValueError: if there are fewer than two findings, no pixels, or a value is not finite.

    Example:
        >>> maps = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]])
        >>> cosine_distances(maps)[0].tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    if maps.ndim < 3 or maps.shape[1] < 2 or maps[0:1].numel() == 0:
        raise ValueError(f"expected maps (B, K, …) of at least two findings, found shape {tuple(maps.shape)}")
    flat = maps.detach().flatten(2).double()  # (B, K, P)
    if not bool(torch.isfinite(flat).all()):
        images = (~torch.isfinite(flat)).flatten(1).any(dim=1).nonzero().flatten().tolist()
        raise ValueError(f"saliency maps hold NaN or infinite values in images {images}")
    # the largest value first: squares of tiny attributions would vanish
    peak = flat.abs().amax(dim=2, keepdim=True)
    scaled = flat / torch.where(peak > 0, peak, torch.nan)
    unit = scaled / scaled.norm(dim=2, keepdim=True)
    distances = (1 - unit @ unit.transpose(1, 2)).clamp(0, 2)
    distances = (distances + distances.transpose(1, 2)) / 2  # a product's rounding is not symmetric
    diagonal = distances.diagonal(dim1=1, dim2=2)
    diagonal.copy_(torch.where(diagonal.isnan(), torch.nan, 0.0))
    return distances


def distinctiveness(distances: ArrayLike) -> NDArray[np.float64]:
    """Return how distinct each finding's map is: the sum of its distances to the others (section 2, ``‖v_i‖₁ = d_i``).

    The paper does not say what becomes of maps without a direction. Here a finding whose own map is 0 everywhere has
    no distinctiveness (NaN), and so it is never flagged. A finding next to which another's map is 0 keeps the mean
    distance to those that have a direction, times K − 1: the scale of the sum stays what the threshold was fitted on.

    Args:
        distances: ``(B, K, K)`` of :func:`cosine_distances`, or ``(K, K)``.

    Returns:
        Float64 ``(B, K)``, or ``(K,)``, from 0 to 2 (K − 1).

    Raises:
        ValueError: if the last two axes are not square, or K is below 2.

    Example:
        >>> distinctiveness([[0.0, 1.0, 0.5], [1.0, 0.0, 0.25], [0.5, 0.25, 0.0]]).tolist()
        [1.5, 1.25, 0.75]
    """
    values = np.asarray(distances, dtype=np.float64)
    if values.ndim < 2 or values.shape[-1] != values.shape[-2] or values.shape[-1] < 2:
        raise ValueError(f"expected distances (B, K, K) with K >= 2, found shape {values.shape}")
    others = values.shape[-1] - 1
    defined = ~np.isnan(values)
    directed = np.diagonal(defined, axis1=-2, axis2=-1)
    neighbours = defined.sum(axis=-1) - directed
    total = np.where(defined, values, 0.0).sum(axis=-1)  # the diagonal adds 0
    return np.divide(total * others, neighbours, out=np.full(total.shape, np.nan), where=directed & (neighbours > 0))
