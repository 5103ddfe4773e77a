"""A data set of bags; what a record is, :mod:`shared.mil.bag_records` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from shared.mil.bag_records import Record, bag_size, plain_tensor

__all__ = ["BagDataset"]


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
        size = bag_size(bag, self.ragged, index)
        for key in self.ragged:
            bag[key] = bag[key] if isinstance(bag[key], list | tuple) else plain_tensor(bag[key])
        if self.max_instances is None or size <= self.max_instances:
            return bag
        generator = np.random.default_rng([self.seed, index])
        chosen = np.sort(generator.choice(size, self.max_instances, replace=False))
        for key in self.ragged:
            value = bag[key]
            bag[key] = value[torch.from_numpy(chosen)] if torch.is_tensor(value) else [value[i] for i in chosen]
        return bag
