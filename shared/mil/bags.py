"""From records of single bags (:mod:`shared.mil.bag_records`) to ragged batches, into a network, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from shared.data.errors import DataError
from shared.mil.bag_records import Record, bag_name, bag_size, plain_tensor
from shared.mil.ragged import check_lengths

__all__ = ["PrepareBags", "collate_bags", "split_bags"]


def collate_bags(records: Sequence[Record], ragged: Sequence[str] = ("image",)) -> dict[str, Any]:
    """Join records of single bags into one ragged batch; the ``collate_fn`` of a data loader.

    Args:
        records: B dictionaries with the same keys.
        ragged: keys with one entry per instance. Those that a record lacks are skipped if all records lack them.

    Returns:
        ``lengths`` ``(B,)`` int64; under each ragged key the concatenation ``(T, ...)`` of arrays or tensors, or a
        list of T; under every other key a tensor ``(B, ...)`` of numbers, arrays and tensors, or a list of B of
        anything else.

    Raises:
        DataError: if a bag is empty, two ragged keys of a bag differ in length, the records differ in their keys, or
            arrays under a key that is not ragged differ in shape.

    Example:
        >>> batch = collate_bags([{"id": "a", "image": torch.zeros(2, 3)}, {"id": "b", "image": torch.ones(1, 3)}])
        >>> batch["image"].shape, batch["lengths"], batch["id"]
        (torch.Size([3, 3]), tensor([2, 1]), ['a', 'b'])
    """
    if not records:
        raise DataError("there is no bag to collate")
    keys = set(records[0])
    for record, place in zip(records[1:], range(1, len(records)), strict=True):
        if differing := sorted(keys ^ set(record)):
            raise DataError(
                f"{bag_name(record, place)}: its keys differ from those of {bag_name(records[0], 0)} in {differing}; "
                "all records of a batch need the same keys"
            )
    present = [key for key in ragged if key in keys]
    sizes = [bag_size(record, present or ragged, place) for place, record in enumerate(records)]
    batch: dict[str, Any] = {}
    for key in records[0]:
        values = [record[key] for record in records]
        if key not in present:
            batch[key] = _stack(key, values, records)
        elif isinstance(values[0], list | tuple):
            batch[key] = [entry for value in values for entry in value]
        else:
            batch[key] = torch.cat([plain_tensor(value) for value in values])
    batch["lengths"] = torch.tensor(sizes, dtype=torch.int64)
    return batch


def split_bags(batch: Mapping[str, Any], ragged: Sequence[str] = ("image",)) -> list[dict[str, Any]]:
    """Undo :func:`collate_bags`: return one dictionary for each bag of a ragged batch.

    Args:
        batch: what ``collate_bags`` returned; values per bag may have been added, such as predictions ``(B, K)``.
        ragged: keys with one entry per instance.

    Returns:
        B dictionaries without ``lengths``; numbers per bag are tensors without dimension.
    """
    lengths = batch["lengths"]
    sizes: list[int] = lengths.tolist()
    ends = np.cumsum(sizes).tolist()
    bags: list[dict[str, Any]] = [{} for _ in sizes]
    for key, value in batch.items():
        if key == "lengths":
            continue
        if key in ragged:
            check_lengths(lengths, len(value))
        for bag, size, end, place in zip(bags, sizes, ends, range(len(sizes)), strict=True):
            bag[key] = value[end - size : end] if key in ragged else value[place]
    return bags


class PrepareBags:
    """Turns a ragged batch into what a network is called with: the ``prepare_batch`` of a MONAI engine.

    The network is called as ``network(inputs, lengths=lengths, attributes=attributes)``; without attribute keys it gets
    no ``attributes``.

    Args:
        image_key: key of the instances ``(T, ...)``.
        label_key: key of the labels; a batch without it (inference) has the targets ``None``.
        attributes: keys of numbers ``(B,)`` or vectors ``(B, A)`` for each bag, joined in this order to a float32
            matrix ``(B, Σ A)``.
    """

    def __init__(self, image_key: str = "image", label_key: str = "label", attributes: Sequence[str] = ()) -> None:
        self.image_key = image_key
        self.label_key = label_key
        self.attributes = tuple(attributes)

    def __call__(
        self,
        batch: Mapping[str, Any],
        device: torch.device | str | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, tuple[()], dict[str, torch.Tensor]]:
        """Return inputs, targets, further arguments (none) and keyword arguments, moved to the device."""
        inputs = batch[self.image_key].to(device=device, non_blocking=non_blocking, **kwargs)
        label = batch.get(self.label_key)
        targets = None if label is None else label.to(device=device, non_blocking=non_blocking)
        arguments = {"lengths": batch["lengths"].to(device=device, non_blocking=non_blocking)}
        if self.attributes:
            columns = [batch[key].to(torch.float32).reshape(len(batch["lengths"]), -1) for key in self.attributes]
            arguments["attributes"] = torch.cat(columns, dim=1).to(device=device, non_blocking=non_blocking)
        return inputs, targets, (), arguments


def _stack(key: str, values: list[Any], records: Sequence[Record]) -> Any:
    """Return values of one bag each as a tensor ``(B, ...)`` if they are numbers or arrays, else as a list."""
    if not all(isinstance(value, bool | int | float | np.number | np.ndarray | torch.Tensor) for value in values):
        return values
    tensors = [plain_tensor(value) for value in values]
    for place, tensor in enumerate(tensors):
        if tensor.shape != tensors[0].shape:
            raise DataError(
                f"{bag_name(records[place], place)}: '{key}' has the shape {list(tensor.shape)}, in "
                f"{bag_name(records[0], 0)} {list(tensors[0].shape)}; if it has one entry per instance, name "
                "it as ragged"
            )
    return torch.stack(tensors)
