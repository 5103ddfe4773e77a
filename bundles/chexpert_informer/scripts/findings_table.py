"""The predictions file of the bundle, and the handler that ends inferring by writing it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import pandas as pd
from ignite.engine import Engine, Events

from scripts.alarms.doubt_table import Doubts
from scripts.doubt_collector import collected_doubts
from scripts.informer_classifier import Findings
from shared.calibration.output_collector import OutputCollector
from shared.evaluation.predictions import multilabel_table, write_predictions

__all__ = ["FindingsWriter", "findings_table"]

#: what records say of an image: readers of the file group by it
RECORD_COLUMNS = ("patient", "view", "sex", "age")


def findings_table(
    table: Doubts, found: Findings, records: Sequence[Mapping[str, Any]], labelled: bool
) -> pd.DataFrame:
    """Put what is said of images into the table of the predictions file.

    A flagged prediction is deferred, any other accepted. To the columns of every multi-label file come, for each
    finding, ``distinctiveness_<class>`` (empty where its map is 0 everywhere), ``alarm_<class>`` (1 where flagged) and
    ``reason_<class>``, and what the records say of patient, view, sex and age.

    Args:
        table: of N images.
        found: said of them.
        records: of the same images.
        labelled: whether the file has labels.
    """
    classes = table.classes
    extra: dict[str, Any] = {
        name: [str(record.get(name, "")) for record in records]
        for name in RECORD_COLUMNS
        if any(record.get(name) is not None for record in records)
    }
    for index, name in enumerate(classes):
        extra |= {
            f"distinctiveness_{name}": found.distinctiveness[:, index],
            f"alarm_{name}": found.flagged[:, index].astype(np.int64),
            f"reason_{name}": found.reasons[:, index].tolist(),
        }
    return multilabel_table(
        ids=table.id.tolist(),
        classes=classes,
        logits=table.logits,
        probabilities=found.probabilities,
        predictions=found.predictions,
        confidence=found.confidence,
        decisions=np.where(found.flagged, "defer", "accept"),
        predictions_after_alarm=found.after_alarm,
        reasons=[
            _of_image(flags, reasons, classes) for flags, reasons in zip(found.flagged, found.reasons, strict=True)
        ],
        labels=table.label if labelled else None,
        extra=extra,
    )


class FindingsWriter:
    """Ignite handler that judges the images of an evaluation and writes ``predictions.csv`` when it completes.

    Args:
        collector: collects what :class:`scripts.doubt_collector.DoubtInferer` gives.
        classifier: judges a table of doubts.
        classes: names of the findings in the order of the logits.
        output_dir: where to write.
        labelled: whether the file has labels.

    Attributes:
        table: the predictions, once they are made.
    """

    def __init__(
        self,
        collector: OutputCollector,
        classifier: Callable[[Doubts], Findings],
        classes: Sequence[str],
        output_dir: str | os.PathLike[str],
        labelled: bool = False,
    ) -> None:
        self.collector = collector
        self.classifier = classifier
        self.classes = list(classes)
        self.output_dir = Path(output_dir)
        self.labelled = labelled
        self.table: pd.DataFrame | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator, behind the collector."""
        if not engine.has_event_handler(self, Events.COMPLETED):
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, _: Engine) -> None:
        """Judge and write."""
        self.judge()

    def judged_table(self) -> pd.DataFrame:
        """Judge the collected images, and return the table without writing it."""
        return self._judged()[2]

    def judge(self) -> tuple[Doubts, Findings]:
        """Judge the collected images, and write the file in the main process."""
        doubts, found, self.table = self._judged()
        if idist.get_rank() == 0:
            path = self.output_dir / "predictions.csv"
            write_predictions(path, self.table)
            undirected = int(np.isnan(found.distinctiveness).sum())
            logging.getLogger(type(self).__name__).info(
                f"{path}: {len(doubts)} images, {int(found.predictions.sum())} findings called present, "
                f"{int(found.flagged.sum())} of {found.flagged.size} predictions flagged"
                + (f", {undirected} maps without a direction" if undirected else "")
            )
        return doubts, found

    def _judged(self) -> tuple[Doubts, Findings, pd.DataFrame]:
        if (collected := self.collector.collected) is None:
            raise RuntimeError("the collector has nothing: list it before this handler")
        doubts = collected_doubts(collected, self.classes)
        found = self.classifier(doubts)
        return doubts, found, findings_table(doubts, found, collected.records, self.labelled)


def _of_image(flags: np.ndarray, reasons: np.ndarray, classes: Sequence[str]) -> str:
    flagged = [f"{name}: {reason}" for name, flag, reason in zip(classes, flags, reasons, strict=True) if flag]
    return " | ".join(flagged) or "no prediction is flagged"
