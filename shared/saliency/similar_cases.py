"""The training cases that the network finds most like a sample: nearest in its penultimate embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from shared.data.errors import DataError
from shared.saliency.base import evaluation_mode

__all__ = ["NearestCases", "SimilarCases", "image_embedding", "nearest_cases"]

Write = Callable[[int, int, Any], str]
"""``write(sample, rank, item)`` writes a picture and returns its path in the index."""

#: similarities that are held at once
CHUNK_ELEMENTS = 1 << 24


class NearestCases(NamedTuple):
    """The nearest cases of each query, the nearest first.

    Attributes:
        places: of the cases among all, ``(Q, k)``, int64.
        similarity: cosine of the angle between the two embeddings, ``(Q, k)``, in [−1, 1].
    """

    places: NDArray[np.int64]
    similarity: NDArray[np.float64]


def nearest_cases(queries: Tensor, cases: Tensor, count: int = 3, chunk_elements: int = CHUNK_ELEMENTS) -> NearestCases:
    """Find the cases whose embeddings have the smallest angle to those of the queries.

    Cosine similarity ``x · y / (|x| |y|)``; 0 with an embedding that is 0. Of cases that are equally near, the first.

    Args:
        queries: embeddings ``(Q, E)``.
        cases: embeddings ``(N, E)`` to choose from.
        count: number k of cases; fewer if there are fewer.
        chunk_elements: largest number of similarities held at once.

    Raises:
        ValueError: if the embeddings do not fit together, there is no case, or one is not finite.

    Example:
        >>> found = nearest_cases(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [2.0, 0.0]]), count=1)
        >>> found.places.tolist(), found.similarity.tolist()
        ([[1]], [[1.0]])
    """
    if queries.ndim != 2 or cases.ndim != 2 or queries.shape[1] != cases.shape[1] or len(cases) == 0 or count < 1:
        raise ValueError(
            f"expected embeddings (Q, E) and at least one case (N, E), and count of at least 1; found "
            f"{tuple(queries.shape)}, {tuple(cases.shape)} and {count}"
        )
    if not bool(queries.isfinite().all() and cases.isfinite().all()):
        raise ValueError("embeddings must be finite, found NaN or infinity")
    directions = F.normalize(cases.double(), dim=1)
    rows = max(1, chunk_elements // len(cases))
    places, values = [], []
    for part in F.normalize(queries.double(), dim=1).split(rows):
        # a stable sort takes the first of equals; topk does not say which it takes
        similarity, order = (part @ directions.T).clamp(-1, 1).sort(dim=1, descending=True, stable=True)
        places.append(order[:, :count])
        values.append(similarity[:, :count])
    return NearestCases(torch.cat(places).cpu().numpy(), torch.cat(values).cpu().numpy())


class SimilarCases:
    """Training cases to compare samples with, embedded once.

    Args:
        dataset: training samples, as the network takes them.
        records: their records, with ``id``.
        embed: returns the embeddings ``(b, E)`` of some of the items; for bags the pooled ones.
        label: returns the label of a record in words; ``None`` where it has none.
        count: number of similar cases of each sample.
        candidates: largest number of training cases that are embedded, drawn at random; ``None`` for all.
        batch_size: items that are embedded at once.
        seed: of the draw.

    Raises:
        DataError: if there is no training case.
        ValueError: if records and data set differ in length.
    """

    def __init__(
        self,
        dataset: Sequence[Any],
        records: Sequence[Mapping[str, Any]],
        embed: Callable[[Sequence[Any]], Tensor],
        label: Callable[[Mapping[str, Any]], str | None],
        count: int = 3,
        candidates: int | None = 500,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        if not records:
            raise DataError("similar cases: the training section has no records; prepare the data with one")
        if len(records) != len(dataset):
            raise ValueError(f"found {len(records)} records for {len(dataset)} training samples")
        self.dataset = dataset
        self.records = records
        self.embed = embed
        self.label = label
        self.count = count
        self.batch_size = batch_size
        chosen = np.arange(len(records))
        if candidates is not None and candidates < len(records):
            chosen = np.sort(np.random.default_rng(seed).choice(len(records), candidates, replace=False))
        self.chosen = chosen
        self._embeddings: Tensor | None = None

    def of(self, items: Sequence[Any], write: Write | None = None) -> list[list[dict[str, Any]]]:
        """Return the similar cases of samples, ready for the key ``similar`` of their entries in the index.

        Args:
            items: the samples, as the network takes them.
            write: ``write(sample, rank, item)`` writes the picture of a similar case, the rank-th of the sample, and
                returns its path in the index; ``None`` for no pictures.

        Returns:
            For each sample, the nearest case first: ``id``, ``label``, ``similarity`` and ``image_png``; if not all
            training cases were compared, ``candidates`` and ``of``, how many were and how many there are.
        """
        if len(items) == 0:
            return []
        if self._embeddings is None:  # the network's weights are loaded after this object is made
            self._embeddings = self._embedded(self.dataset, self.chosen.tolist(), progress=True)
        found = nearest_cases(self._embedded(items, range(len(items))), self._embeddings, self.count)
        return [
            [
                self._entry(sample, rank, int(self.chosen[place]), float(similarity), write)
                for rank, (place, similarity) in enumerate(zip(*nearest, strict=True))
            ]
            for sample, nearest in enumerate(zip(found.places, found.similarity, strict=True))
        ]

    @torch.no_grad()
    def _embedded(self, items: Sequence[Any], places: Sequence[int], progress: bool = False) -> Tensor:
        """Return the embeddings of some of the items; no more than a batch of them is held."""
        starts = tqdm(
            range(0, len(places), self.batch_size),
            desc="looking for similar cases",
            unit="batch",
            disable=not progress,
        )
        return torch.cat([self.embed([items[place] for place in places[i : i + self.batch_size]]) for i in starts])

    def _entry(self, sample: int, rank: int, place: int, similarity: float, write: Write | None) -> dict[str, Any]:
        record = self.records[place]
        picture = None if write is None else write(sample, rank, self.dataset[place])
        entry = {"id": record["id"], "label": self.label(record), "similarity": similarity}
        if len(self.chosen) < len(self.records):
            entry |= {"candidates": len(self.chosen), "of": len(self.records)}
        return entry if picture is None else entry | {"image_png": picture}


def image_embedding(network: nn.Module, device: torch.device | str) -> Callable[[Sequence[Any]], Tensor]:
    """Return what embeds items with ``image`` ``(C, H, W)`` by the network's method ``embedding``.

    Args:
        network: with ``embedding(images (B, C, H, W)) -> (B, E)``; put into evaluation mode for the call.
        device: of the network.
    """
    embedding: Any = network.embedding

    def embed(items: Sequence[Any]) -> Tensor:
        images = torch.stack([convert_to_tensor(item["image"], track_meta=False) for item in items]).to(device)
        with evaluation_mode(network):
            return embedding(images)

    return embed
