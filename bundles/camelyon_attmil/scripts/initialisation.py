"""What a network is given before it is trained: which features it sees, and their mean and spread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from scripts.feature_bags import LoadFeatureBagd
from scripts.feature_file import FeatureAttributes, FeatureBag, check_same_encoder
from scripts.networks import BagClassifier
from shared.data.errors import DataError

__all__ = ["balanced_weight", "initialise"]

Records = Sequence[Mapping[str, Any]]


def initialise(network: BagClassifier, load: LoadFeatureBagd, records: Records) -> None:
    """Make a network ready for training: go through the training slides once.

    Args:
        network: the network, not wrapped.
        load: reads the slides, and keeps what fits into its memory.
        records: of the training slides.

    Raises:
        DataError: if there is no slide, a file cannot be used, or two are of different encoders.
    """
    if not records:
        raise DataError("the datalist has no training slides; prepare the data anew")
    first: tuple[str, FeatureAttributes, int] | None = None

    def bags() -> Iterator[FeatureBag]:
        nonlocal first
        for record in records:
            bag = load.read(record)
            known = (str(record["features"]), bag.attributes, bag.features.shape[1])
            first = first or known
            check_same_encoder([first, known])
            yield bag

    if (standardisation := network.standardisation()) is not None:
        standardisation.fit(torch.from_numpy(bag.features) for bag in bags())
    else:
        for _ in bags():
            pass
    if first is not None:
        network.feature_kind.set(first[1])


def balanced_weight(records: Records) -> float:
    """Return the weight of a tumour slide by which both classes weigh the same: normal slides per tumour slide.

    Raises:
        DataError: if a class has no slide.
    """
    tumour = sum(record["label"] == 1 for record in records)
    if tumour in (0, len(records)):
        raise DataError(
            f"training needs normal and tumour slides, found {tumour} with tumour of {len(records)}; prepare the data "
            "anew"
        )
    return (len(records) - tumour) / tumour
