"""Explaining slides: heat-maps that lie on the slide, the tiles that decided, and how far all that can be trusted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from scripts.explained_slide import ExplainedSlide
from scripts.feature_file import FeatureBag
from scripts.shown_slides import ShownSlides
from scripts.similar_slides import SlideItem, slide_picture
from scripts.slide_elements import SlideElements
from scripts.slide_quality import SlideQuality
from shared.data.errors import DataError
from shared.saliency.bags.quality.bag_quality import CONTROL, RANDOM_ORDERS
from shared.saliency.case_selection import WATCHED, BagChoice
from shared.saliency.similar_cases import SimilarCases
from shared.saliency.titles import method_title

__all__ = ["SlideExplainer"]

Prediction = Mapping[str, Any]

logger = logging.getLogger("explanations")


class SlideExplainer:
    """Write explanations of chosen slides, and measure them where the truth is known.

    Values explain the log-odds of tumour, whatever was predicted. A slide that cannot be explained is recorded with the
    reason, and the rest goes on.

    Args:
        read: returns the tiles of a record, checked.
        choice: which slides are shown, and which measured.
        shown: writes the files of a slide, by a network whose weights are loaded before :meth:`run`.
        quality: measures explanations.
        records: the slides: ``id`` and ``features``; ``slide``, ``annotation``, ``mpp``, ``label`` where there are any.
        classes: class names in the order of the labels.
        provenance: where weights and data come from, for the index.
        elements: measures the elements of interpretability; ``None`` leaves that out.
        similar: finds training slides that are like the shown ones; ``None`` leaves that out.
        similar_size: longer side of their pictures, pixels.

    Raises:
        DataError: if there are no slides.
    """

    def __init__(
        self,
        read: Callable[[Mapping[str, Any]], FeatureBag],
        choice: BagChoice,
        shown: ShownSlides,
        quality: SlideQuality,
        records: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        provenance: Mapping[str, Any] | None = None,
        elements: SlideElements | None = None,
        similar: SimilarCases | None = None,
        similar_size: int = 200,
    ) -> None:
        if not records:
            raise DataError("there are no slides to explain; check dataset_dir and section")
        self.read = read
        self.choice = choice
        self.shown = shown
        self.quality = quality
        self.records = [dict(record) for record in records]
        self.classes = list(classes)
        self.provenance = dict(provenance or {})
        self.elements = elements
        self.similar = similar
        self.similar_size = similar_size

    def run(self, predictions: Sequence[Prediction]) -> Path:
        """Explain, measure and write.

        Args:
            predictions: for each record, in the same order, ``id``, ``prediction``, ``confidence``, ``decision`` and
                ``reason``, as rows of the predictions file have them.

        Returns:
            The index, ``explanations/index.json``.

        Raises:
            DataError: if the settings choose no slide, or none of the chosen ones can be explained.
            ValueError: if the predictions are of other records.
        """
        if [row["id"] for row in predictions] != [record["id"] for record in self.records]:
            raise ValueError("the predictions must be those of the records, in their order")
        predicted = [self.classes.index(row["prediction"]) for row in predictions]
        shown, measured = self.choice(self.records, predicted)
        described = [] if self.elements is None else measured or shown
        if not shown and not measured:
            raise DataError("no slide is chosen to be explained; raise samples_per_class or measured_samples")
        samples: dict[int, dict[str, Any]] = {}
        failed: list[dict[str, str]] = []
        chosen = sorted({*shown, *measured})
        for index in tqdm(chosen, desc="explaining", unit="slide"):
            try:
                entry = self._explain(index, predictions[index], index in shown, index in measured, index in described)
            except DataError as error:
                failed.append({"id": str(self.records[index]["id"]), "reason": str(error)})
                continue
            if entry is not None:
                samples[index] = entry
        if len(failed) == len(chosen):
            raise DataError(f"none of {len(chosen)} slides can be explained; the first: {failed[0]['reason']}")
        self._add_similar([samples[index] for index in shown if index in samples])
        if measured:
            logger.info(f"measuring explanations of {len(measured)} slides")
        quality = self.quality.summary()
        if self.elements is not None:
            self.elements.write(self.records, [self._log_odds(row) for row in predictions], self.read, quality)
        content = {
            "bag_word": "slide",
            "instance_word": "tile",
            "positive": self.classes[-1],
            "samples": [samples[index] for index in shown if index in samples],
            "failed": failed,
            "methods": self._methods(),
            "bag_quality": quality,
            "provenance": self.provenance,
        }
        return self.shown.files.write_index(content)

    def _explain(
        self, index: int, prediction: Prediction, shown: bool, measured: bool, described: bool
    ) -> dict[str, Any] | None:
        """Explain one slide; return its entry in the index if it is shown."""
        record = self.records[index]
        slide = ExplainedSlide(record, self.read(record))
        try:
            values = self.shown.valuation(slide.bag.features)
            entry = None
            if shown:
                about, methods = self.shown.write(slide, values, self._said(record, prediction))
                entry = self._sample(record, prediction) | {"methods": methods, "slide": about}
            quality = self.quality.add(slide, values) if measured else None
            if described and self.elements is not None:
                label = record.get("label", self.classes.index(prediction["prediction"]))
                self.elements.add(slide, int(label), values, self.quality.positive(slide), quality)
            return entry
        finally:
            slide.close()

    def _sample(self, record: Mapping[str, Any], prediction: Prediction) -> dict[str, Any]:
        return {
            "id": record["id"],
            "label": self._label(record),
            "kind": "",
            **({WATCHED: True} if record.get(WATCHED) else {}),
            "prediction": prediction["prediction"],
            "target": self.classes[-1],
            "confidence": float(prediction["confidence"]),
            "decision": prediction["decision"],
            "reason": prediction["reason"],
        }

    def _add_similar(self, entries: Sequence[dict[str, Any]]) -> None:
        """Add the training slides that are most like each shown one."""
        if self.similar is None or not entries:
            return
        of_id = {record["id"]: record for record in self.records}
        items = [(of_id[entry["id"]], self.read(of_id[entry["id"]])) for entry in entries]

        def write(sample: int, rank: int, item: SlideItem) -> str:
            picture = slide_picture(item, self.similar_size)
            return self.shown.files.write_similar(entries[sample]["id"], rank, picture)

        for entry, cases in zip(entries, self.similar.of(items, write), strict=True):
            entry["similar"] = cases

    def _log_odds(self, prediction: Prediction) -> float:
        return float(prediction[f"logit_{self.classes[-1]}"]) - float(prediction[f"logit_{self.classes[0]}"])

    def _said(self, record: Mapping[str, Any], prediction: Prediction) -> str:
        label = self._label(record)
        truth = "" if label is None else f" (truth: {label})"
        return f"predicted {prediction['prediction']}, {prediction['decision']}{truth}"

    def _label(self, record: Mapping[str, Any]) -> str | None:
        return None if record.get("label") is None else self.classes[record["label"]]

    def _methods(self) -> dict[str, dict[str, Any]]:
        """Return the index's methods: those that explained, why the others could not, and the control beside them."""
        valuation = self.shown.valuation
        methods: dict[str, dict[str, Any]] = {
            name: {"title": method_title(name), "parameters": valuation.parameters(name)}
            | ({"refused": valuation.refused[name]} if name in valuation.refused else {})
            for name in valuation.methods
        }
        return {**methods, CONTROL: {"title": method_title(CONTROL), "parameters": {"orders": RANDOM_ORDERS}}}
