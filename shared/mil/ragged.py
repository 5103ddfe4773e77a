"""Ragged batches: bags of different sizes one after the other, and what is computed for each bag.

A ragged batch is ``values`` ``(T, ...)``, the concatenation of B bags, with ``lengths`` ``(B,)`` that sum to T.
Nothing is computed for padding, and a bag's numbers cannot depend on its neighbours. Sums, means and softmaxes of
half-precision values are accumulated in float32 and returned in the type of the input. All functions can be scripted by
TorchScript and differentiated.
"""

from __future__ import annotations

import torch

__all__ = [
    "at_least_single",
    "bag_index",
    "check_lengths",
    "from_padded",
    "segment_logsumexp",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
    "to_padded",
]


def check_lengths(lengths: torch.Tensor, instances: int) -> None:
    """Check that the lengths describe a ragged batch of so many instances.

    Args:
        lengths: number of instances of each bag, ``(B,)``, int64.
        instances: number of instances in the batch, T.

    Raises:
        ValueError: if the lengths are not a vector of int64, a bag is empty, or their sum is not T.
    """
    if lengths.dim() != 1 or lengths.dtype != torch.int64 or lengths.numel() == 0:
        raise ValueError(
            f"lengths must be an int64 vector with one entry per bag, found {lengths.dtype} of shape "
            f"{list(lengths.shape)}"
        )
    if bool((lengths < 1).any()):
        empty: list[int] = torch.nonzero(lengths < 1).flatten().tolist()
        raise ValueError(f"empty bags, by their places in the batch: {empty}; every bag needs at least one instance")
    total = int(lengths.sum().item())
    if total != instances:
        raise ValueError(f"the lengths of the bags add up to {total}, but the batch holds {instances} instances")


def bag_index(lengths: torch.Tensor) -> torch.Tensor:
    """Return the bag that each instance belongs to, ``(T,)`` int64, from the lengths ``(B,)``.

    Example:
        >>> bag_index(torch.tensor([2, 3]))
        tensor([0, 0, 1, 1, 1])
    """
    return torch.repeat_interleave(torch.arange(lengths.numel(), device=lengths.device), lengths)


def at_least_single(values: torch.Tensor) -> torch.Tensor:
    """Return half-precision values as float32, in which sums and exponentials are right; others as they are."""
    return values.float() if values.dtype == torch.float16 or values.dtype == torch.bfloat16 else values


def segment_sum(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the sum of each bag, ``(B, ...)``, of values ``(T, ...)``.

    Raises:
        ValueError: see :func:`check_lengths`.
    """
    check_lengths(lengths, values.shape[0])
    return _sum(at_least_single(values), lengths).to(values.dtype)


def segment_mean(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the mean of each bag, ``(B, ...)``, of values ``(T, ...)``.

    Raises:
        ValueError: see :func:`check_lengths`.
    """
    check_lengths(lengths, values.shape[0])
    total = _sum(at_least_single(values), lengths)
    return (total / _column(lengths, total)).to(values.dtype)


def segment_max(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the greatest value of each bag in each dimension, ``(B, ...)``, of values ``(T, ...)``.

    The gradient is shared evenly by instances of equal value, so that it does not depend on their order.

    Raises:
        ValueError: see :func:`check_lengths`.
    """
    check_lengths(lengths, values.shape[0])
    return _max(values, lengths)


def segment_logsumexp(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return ``log Σ exp(v)`` of each bag in each dimension, ``(B, ...)``, of values ``(T, ...)``.

    Raises:
        ValueError: see :func:`check_lengths`.
    """
    check_lengths(lengths, values.shape[0])
    exact = at_least_single(values)
    greatest = _finite(_max(exact.detach(), lengths))
    shifted = torch.exp(exact - torch.repeat_interleave(greatest, lengths, dim=0))
    return (greatest + torch.log(_sum(shifted, lengths))).to(values.dtype)


def segment_softmax(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return ``exp(v) / Σ exp(v)`` with the sum over the instance's own bag, ``(T, ...)``, of values ``(T, ...)``.

    Raises:
        ValueError: see :func:`check_lengths`.
    """
    check_lengths(lengths, values.shape[0])
    exact = at_least_single(values)
    greatest = _finite(_max(exact.detach(), lengths))
    shifted = torch.exp(exact - torch.repeat_interleave(greatest, lengths, dim=0))
    return (shifted / torch.repeat_interleave(_sum(shifted, lengths), lengths, dim=0)).to(values.dtype)


def to_padded(instances: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn a ragged batch into a padded one.

    Args:
        instances: ``(T, ...)``.
        lengths: ``(B,)``, int64.

    Returns:
        The instances ``(B, N, ...)``, N the size of the largest bag, zeros after the last of a bag; and a boolean mask
        ``(B, N)``, true where there is an instance.

    Raises:
        ValueError: see :func:`check_lengths`.
    """
    check_lengths(lengths, instances.shape[0])
    largest = int(lengths.max().item())
    mask = torch.arange(largest, device=lengths.device).unsqueeze(0) < lengths.unsqueeze(1)  # (B, N)
    padded = instances.new_zeros(_shape([lengths.numel(), largest], instances))
    padded[mask] = instances
    return padded, mask


def from_padded(padded: torch.Tensor, mask: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn a padded batch into a ragged one.

    Args:
        padded: ``(B, N, ...)``; what stands where there is no instance is not looked at.
        mask: boolean ``(B, N)``, true where there is an instance, at any place; ``None`` if all are instances.

    Returns:
        The instances ``(T, ...)`` and the lengths ``(B,)``.

    Raises:
        ValueError: if the mask is not boolean ``(B, N)``, or a bag is empty.
    """
    if padded.dim() < 2:
        raise ValueError(f"a padded batch has bags and instances as its first dimensions, found {list(padded.shape)}")
    if mask is None:
        lengths = torch.full([padded.shape[0]], padded.shape[1], dtype=torch.int64, device=padded.device)
        instances = padded.flatten(0, 1)
    else:
        if mask.dtype != torch.bool or list(mask.shape) != list(padded.shape[:2]):
            raise ValueError(
                f"the mask must be boolean of shape {list(padded.shape[:2])}, found {mask.dtype} of shape "
                f"{list(mask.shape)}"
            )
        lengths = mask.sum(dim=1)
        instances = padded[mask]
    check_lengths(lengths, instances.shape[0])
    return instances, lengths


def _sum(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the sums of the bags, ``(B, ...)``; the lengths have been checked."""
    if not values.is_cuda and values.shape[0] < 64 * lengths.numel():
        # many small bags: one pass; on a GPU its order would differ from run to run
        return values.new_zeros(_shape([lengths.numel()], values)).index_add(0, bag_index(lengths), values)
    # few large bags: the sum of a contiguous block is faster, and pairwise, so that its rounding stays small
    sizes: list[int] = lengths.tolist()
    return torch.stack([bag.sum(dim=0) for bag in torch.split(values, sizes)])


def _max(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the greatest values of the bags, ``(B, ...)``; the lengths have been checked."""
    start = values.new_full(_shape([lengths.numel()], values), -float("inf"))
    index = bag_index(lengths).view([-1] + [1] * (values.dim() - 1)).expand_as(values)
    return start.scatter_reduce(0, index, values, "amax")


def _shape(first: list[int], values: torch.Tensor) -> list[int]:
    """Return the shape of ``values`` ``(T, ...)`` with other dimensions in place of T."""
    return first + list(values.shape[1:])


def _column(lengths: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the lengths in the type of ``like`` ``(B, ...)`` and with as many dimensions."""
    return lengths.to(like.dtype).view([-1] + [1] * (like.dim() - 1))


def _finite(values: torch.Tensor) -> torch.Tensor:
    """Return the values with 0 instead of infinities: what is subtracted before an exponential."""
    return torch.where(torch.isfinite(values), values, torch.zeros_like(values))
