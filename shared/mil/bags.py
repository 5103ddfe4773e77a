"""From records of single bags to ragged batches, and back.

A record is a dictionary. Its *ragged* keys hold one entry per instance along the first dimension: images
``(N, C, H, W)`` or features ``(N, E)``, coordinates ``(N, 2)``, instance labels ``(N,)``, instance ids (a list of N).
All other keys hold one value per bag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from shared.data.errors import DataError
from shared.mil.ragged import check_lengths

__all__ = ["BagDataset", "PrepareBags", "bags_from_arrays", "collate_bags", "split_bags"]

Record = Mapping[str, Any]


class BagDataset(Dataset[dict[str, Any]]):
    """Bags of 1 to 100,000 instances: checked, and drawn from if they are larger than wanted.

    Args:
        records: one dictionary per bag.
        ragged: keys with one entry per instance; arrays become tensors, lists stay lists.
        transform: reads or changes a record before it is checked, so that large bags may stay on the disk.
        max_instances: bags with more instances are represented by so many, drawn without replacement, in their order;
            ``None`` takes all.
        seed: the draw depends on this and on the bag's place alone, in whatever process. A
            :class:`~shared.training.epoch_seed.EpochSeed` that is given the data set changes it from epoch to epoch.

    Raises:
        ValueError: if there is no ragged key, or ``max_instances`` is below 1.

    Example:
        >>> records = [{"id": "a", "features": np.zeros((5, 2)), "tile": ["t0", "t1", "t2", "t3", "t4"], "label": 1}]
        >>> bag = BagDataset(records, ragged=("features", "tile"), max_instances=3)[0]
        >>> bag["features"].shape, len(bag["tile"]), bag["label"]
        (torch.Size([3, 2]), 3, 1)
    """

    def __init__(
        self,
        records: Sequence[Record],
        ragged: Sequence[str] = ("image",),
        transform: Callable[[dict[str, Any]], Record] | None = None,
        max_instances: int | None = None,
        seed: int = 0,
    ) -> None:
        if not ragged:
            raise ValueError("a bag data set needs at least one ragged key")
        if max_instances is not None and max_instances < 1:
            raise ValueError(f"max_instances must be at least 1, found {max_instances}")
        self.records = records
        self.ragged = tuple(ragged)
        self.transform = transform
        self.max_instances = max_instances
        self.seed = seed

    def set_random_state(self, seed: int) -> None:
        """Draw other instances from now on, and seed the transform, if it is a random one of MONAI's."""
        self.seed = seed
        seed_transform = getattr(self.transform, "set_random_state", None)
        if seed_transform is not None:
            seed_transform(seed=seed)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a bag.

        Raises:
            DataError: if the bag is empty, a ragged key is missing, or two of them differ in length.
        """
        record = dict(self.records[index])
        bag = dict(self.transform(record)) if self.transform is not None else record
        size = _bag_size(bag, self.ragged, index)
        for key in self.ragged:
            bag[key] = bag[key] if isinstance(bag[key], list | tuple) else _tensor(bag[key])
        if self.max_instances is None or size <= self.max_instances:
            return bag
        generator = np.random.default_rng([self.seed, index])
        chosen = np.sort(generator.choice(size, self.max_instances, replace=False))
        for key in self.ragged:
            value = bag[key]
            bag[key] = value[torch.from_numpy(chosen)] if torch.is_tensor(value) else [value[i] for i in chosen]
        return bag


def bags_from_arrays(
    features: np.ndarray,
    bag: np.ndarray,
    labels: Sequence[int] | np.ndarray,
    ids: Sequence[str] | None = None,
    **per_instance: np.ndarray,
) -> list[dict[str, Any]]:
    """Turn the flat layout of classical multiple-instance data sets into records.

    Args:
        features: ``(T, E)``.
        bag: index of each instance's bag, ``(T,)``, in any order.
        labels: one for each bag, ``(B,)``.
        ids: a name for each bag; by default its index.
        **per_instance: further arrays ``(T, ...)``, such as coordinates or instance labels.

    Returns:
        B records with ``id``, ``label``, ``features`` ``(N, E)``, the further arrays, and ``instance``, the row of each
        instance in ``features`` ``(N,)``.

    Raises:
        DataError: if the arrays differ in length, a bag's index is not within B, or a bag has no instance.
    """
    arrays = {"features": np.asarray(features), **{key: np.asarray(value) for key, value in per_instance.items()}}
    bag = np.asarray(bag)
    for key, array in arrays.items():
        if len(array) != len(bag):
            raise DataError(f"'{key}' has {len(array)} rows, but 'bag' has {len(bag)}; expected one for each instance")
    count = len(labels)
    names = [str(index) for index in range(count)] if ids is None else list(ids)
    if len(names) != count:
        raise DataError(f"found {len(names)} ids and {count} labels; expected one of each for each bag")
    if bag.size and (bag.min() < 0 or bag.max() >= count):
        raise DataError(f"'bag' ranges from {bag.min()} to {bag.max()}, but there are labels for 0 to {count - 1}")
    sizes = np.bincount(bag, minlength=count)
    if empty := [names[index] for index in np.flatnonzero(sizes == 0)]:
        raise DataError(f"bags without instances: {', '.join(empty)}; leave them out of the labels")
    rows = np.split(np.argsort(bag, kind="stable"), np.cumsum(sizes)[:-1])
    return [
        {
            "id": names[index],
            "label": int(labels[index]),
            **{key: array[rows[index]] for key, array in arrays.items()},
            "instance": rows[index],
        }
        for index in range(count)
    ]


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
                f"{_name(record, place)}: its keys differ from those of {_name(records[0], 0)} in {differing}; all "
                "records of a batch need the same keys"
            )
    present = [key for key in ragged if key in keys]
    sizes = [_bag_size(record, present or ragged, place) for place, record in enumerate(records)]
    batch: dict[str, Any] = {}
    for key in records[0]:
        values = [record[key] for record in records]
        if key not in present:
            batch[key] = _stack(key, values, records)
        elif isinstance(values[0], list | tuple):
            batch[key] = [entry for value in values for entry in value]
        else:
            batch[key] = torch.cat([_tensor(value) for value in values])
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


def _bag_size(record: Record, ragged: Sequence[str], place: int) -> int:
    """Return the number of instances of a bag, the same under all its ragged keys."""
    if missing := [key for key in ragged if key not in record]:
        raise DataError(f"{_name(record, place)}: found no '{missing[0]}'; its keys are {sorted(map(str, record))}")
    sizes = {key: len(record[key]) for key in ragged}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"'{key}' {size}" for key, size in sizes.items())
        raise DataError(f"{_name(record, place)}: keys with one entry per instance differ in length: {found}")
    size = next(iter(sizes.values()))
    if size == 0:
        raise DataError(
            f"{_name(record, place)}: the bag is empty ('{ragged[0]}' has no entry); leave it out of the data list"
        )
    return size


def _stack(key: str, values: list[Any], records: Sequence[Record]) -> Any:
    """Return values of one bag each as a tensor ``(B, ...)`` if they are numbers or arrays, else as a list."""
    if not all(isinstance(value, bool | int | float | np.number | np.ndarray | torch.Tensor) for value in values):
        return values
    tensors = [_tensor(value) for value in values]
    for place, tensor in enumerate(tensors):
        if tensor.shape != tensors[0].shape:
            raise DataError(
                f"{_name(records[place], place)}: '{key}' has the shape {list(tensor.shape)}, in "
                f"{_name(records[0], 0)} {list(tensors[0].shape)}; if it has one entry per instance, name it as ragged"
            )
    return torch.stack(tensors)


def _tensor(value: Any) -> torch.Tensor:
    """Return a plain tensor; MONAI's metadata of single images means nothing for a batch of bags."""
    as_tensor = getattr(value, "as_tensor", None)
    return as_tensor() if as_tensor is not None else torch.as_tensor(value)


def _name(record: Record, place: int) -> str:
    """Return how a record is named in an error."""
    return f"bag '{record['id']}'" if "id" in record else f"bag {place}"
