"""What an evaluation computes for each sample, kept in the order of the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events

from shared.data.errors import DataError

__all__ = ["CollectedOutputs", "OutputCollector"]


class CollectedOutputs(NamedTuple):
    """Outputs of N records.

    Attributes:
        records: the N records, each with its ``id`` and whatever else the datalist says of it.
        outputs: name to array with N rows, for instance ``logits`` ``(N, S, K)``.
    """

    records: list[dict[str, Any]]
    outputs: dict[str, np.ndarray]

    def where(self, selected: Sequence[bool]) -> CollectedOutputs:
        """Return the outputs of those records for which ``selected`` is true."""
        chosen = np.flatnonzero(selected)
        return CollectedOutputs(
            [self.records[index] for index in chosen], {name: rows[chosen] for name, rows in self.outputs.items()}
        )


class OutputCollector:
    """Ignite handler that keeps what the inferer returns for each sample of an evaluation.

    The evaluator must not decollate (``decollate=False``), its inferer returns a tensor (kept as ``logits``) or a
    dictionary of tensors with B rows, and the batches hold the records' ``id``. Under several processes every process
    gets the outputs of all; records that a sampler repeated to fill the last batch count once.

    Args:
        records: the records of the evaluation's data set, with unique ``id``.
        reduce: turns the outputs of a batch into the arrays to keep (B rows each), so that memory is set by what is
            kept and not by what the network gives; by default everything is kept.

    Raises:
        DataError: if two records have the same ``id``; when the evaluator completes, if a record has no output.
        ValueError: while collecting, if a batch holds another id or an output has not one row per image.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        reduce: Callable[[dict[str, torch.Tensor]], Mapping[str, np.ndarray]] | None = None,
    ) -> None:
        self.reduce = reduce
        self.records = [dict(record) for record in records]
        self.position = {record["id"]: index for index, record in enumerate(self.records)}
        if len(self.position) < len(self.records):
            ids = [record["id"] for record in self.records]
            repeated = next(name for name in ids if ids.count(name) > 1)
            raise DataError(f"the id {repeated!r} stands for more than one record; prepare the data anew")
        self.collected: CollectedOutputs | None = None
        self._ids: list[str] = []
        self._outputs: dict[str, list[np.ndarray]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator, before handlers that use what is collected."""
        if not engine.has_event_handler(self, Events.ITERATION_COMPLETED):
            engine.add_event_handler(Events.STARTED, self.reset)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)
            engine.add_event_handler(Events.COMPLETED, self.finish)

    def reset(self, _: Engine) -> None:
        """Forget an earlier run."""
        self.collected, self._ids, self._outputs = None, [], {}

    def __call__(self, engine: Engine) -> None:
        """Keep one batch."""
        if isinstance(engine.state.output, list):
            raise TypeError("the evaluator decollates its output; set decollate to false to collect it")
        ids = list(engine.state.batch["id"])
        if unknown := [name for name in ids if name not in self.position]:
            raise ValueError(f"the batch holds the id {unknown[0]!r}, which no record of the collector has")
        prediction = engine.state.output["pred"]
        if isinstance(prediction, torch.Tensor):
            prediction = {"logits": prediction}
        kept = _as_arrays(prediction) if self.reduce is None else self.reduce(prediction)
        for name, rows in kept.items():
            if np.ndim(rows) == 0 or len(rows) != len(ids):
                raise ValueError(f"{name} must have one row for each of {len(ids)} images, found {np.shape(rows)}")
            self._outputs.setdefault(name, []).append(np.asarray(rows))
        self._ids.extend(ids)

    def finish(self, _: Engine) -> None:
        """Put the outputs of all processes into the order of the records."""
        ids = self._ids
        outputs = {name: np.concatenate(batches) for name, batches in self._outputs.items()}
        if idist.get_world_size() > 1:
            # a process whose share of the data is empty has no outputs to name
            gathered = [(part, rows) for part, rows in idist.all_gather((ids, outputs)) if part]
            ids = [name for part, _ in gathered for name in part]
            names = gathered[0][1] if gathered else {}
            outputs = {name: np.concatenate([rows[name] for _, rows in gathered]) for name in names}
        row = {self.position[name]: index for index, name in enumerate(ids)}
        if missing := [record["id"] for index, record in enumerate(self.records) if index not in row]:
            raise DataError(f"{len(missing)} record(s) have no output, the first is {missing[0]!r}")
        order = np.array([row[index] for index in range(len(self.records))], dtype=np.int64)
        self.collected = CollectedOutputs(self.records, {name: rows[order] for name, rows in outputs.items()})
        self._ids, self._outputs = [], {}


def _as_arrays(outputs: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: rows.detach().float().cpu().numpy() for name, rows in outputs.items()}
