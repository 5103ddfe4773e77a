"""From a slide's record to its bag: features and places of its tiles, read from its feature file, checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from torch.utils.data import get_worker_info

from scripts.feature_file import FeatureBag
from scripts.feature_kind import FeatureKind
from scripts.feature_layouts import read_features
from shared.data.errors import DataError

__all__ = ["BagCache", "LoadFeatureBagd", "read_bag"]

Record = Mapping[str, Any]


def read_bag(record: Record) -> FeatureBag:
    """Read the feature file that a record names, whole, and check it.

    Args:
        record: with ``features`` (path) and, for files whose places are in µm (STAMP), ``mpp`` of the slide.

    Raises:
        DataError: naming the file, if it is missing, truncated, damaged, of no known layout, has no tile, or holds
            values that are not finite.
    """
    path = record.get("features")
    if not isinstance(path, str | os.PathLike):
        raise DataError(
            f"slide {record.get('id')!r}: the record names no feature file, found features {path!r}; prepare the data "
            "anew"
        )
    try:
        return read_features(path, record.get("mpp"))
    except DataError:
        raise
    # h5py raises several types, depending on where a file is damaged
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())
        raise DataError(f"{path}: damaged ({text}); extract the features again, or copy the file again") from error


class BagCache:
    """Keeps what was read until a budget is used up; what comes later is read again each time.

    Nothing is pushed out: training goes through all slides once an epoch, in another order each time, so that whatever
    is kept serves just as often, and memory is bounded by the budget. Several reading processes share it evenly.

    Args:
        gib: budget, GiB; 0 keeps nothing.
    """

    def __init__(self, gib: float) -> None:
        self.budget = gib * 2**30
        self.used = 0
        self._kept: dict[str, FeatureBag] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, path: str, read: Callable[[], FeatureBag]) -> FeatureBag:
        """Return the bag of a path, read now if it is not kept."""
        if path in self._kept:
            return self._kept[path]
        bag = read()
        worker = get_worker_info()
        if self.used + _bytes(bag) <= self.budget / (1 if worker is None else worker.num_workers):
            self._kept[path] = bag
            self.used += _bytes(bag)
        return bag


class LoadFeatureBagd(Transform):
    """Replaces the path under ``features`` by what the file holds.

    Args:
        kind: of the network; features of another encoder, scale or number are refused. None compares nothing.
        keys: that the result has: of ``features`` ``(N, E)`` float32, ``coords`` ``(N, 2)`` int64 in pixels of level 0,
            ``tile_label`` ``(N,)`` float32 (share of the tile that is tumour, NaN where not known), and of the record's
            own.
        cache_gib: memory in which bags are kept from one epoch to the next, see :class:`BagCache`.
    """

    def __init__(
        self,
        kind: FeatureKind | None = None,
        keys: Sequence[str] = ("features", "coords", "id", "label"),
        cache_gib: float = 0.0,
    ) -> None:
        self.kind = kind
        self.keys = tuple(keys)
        self.cache = BagCache(cache_gib)

    def __call__(self, data: Record) -> dict[str, Any]:
        """Return the record with the keys wanted.

        Raises:
            DataError: as :func:`read_bag`; if the network was trained on features of another kind; or if the record
                lacks a key.
        """
        bag = self.read(data)
        loaded: dict[str, Any] = {"features": torch.from_numpy(bag.features.astype(np.float32))}
        loaded["coords"] = torch.from_numpy(bag.coords)
        if "tile_label" in self.keys:
            unknown = np.full(len(bag.features), np.nan, dtype=np.float32)
            loaded["tile_label"] = torch.from_numpy(unknown if bag.tile_label is None else bag.tile_label)
        complete = {**data, **loaded}
        if missing := [key for key in self.keys if key not in complete]:
            raise DataError(
                f"slide {data.get('id')!r}: the record has no {missing[0]!r}; complete the datalist or prepare the "
                "data anew"
            )
        return {key: complete[key] for key in self.keys}

    def read(self, record: Record) -> FeatureBag:
        """Return the bag of a record, as its file has it, from memory if it is kept."""
        bag = self.cache.get(str(record.get("features")), lambda: read_bag(record))
        if self.kind is not None:
            self.kind.check(str(record["features"]), bag.attributes, bag.features.shape[1])
        return bag


def _bytes(bag: FeatureBag) -> int:
    return bag.features.nbytes + bag.coords.nbytes + (0 if bag.tile_label is None else bag.tile_label.nbytes)
