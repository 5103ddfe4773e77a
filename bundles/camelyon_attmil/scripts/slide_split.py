"""Which slides are for training, validation, test and calibration: by patient, told before hours of encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.source_slide import SourceSlide
from shared.data.errors import DataError
from shared.data.split_advice import SplitWords
from shared.data.splits import split_records

__all__ = ["SlideSplit"]

_Records = list[dict[str, Any]]


@dataclass(frozen=True)
class SlideSplit:
    """Divides labelled slides.

    Args:
        classes: names of the classes, normal first.
        fractions: share of each section.
        published: whether slides that were published as test stay in the section ``test``, and the others are divided
            between the other sections; otherwise all are divided.
        seed: of the shuffles.
    """

    classes: Sequence[str]
    fractions: Mapping[str, float]
    published: bool = True
    seed: int = 0

    def __call__(self, records: Sequence[Mapping[str, Any]]) -> dict[str, _Records]:
        """Return the records of each section.

        Args:
            records: with ``patient``, ``label`` and ``published``, which those of the sections no longer have.

        Raises:
            DataError: if a section cannot have slides of all classes.
        """
        test = [dict(record) for record in records if record["published"] == "test"]
        if not (self.published and test):
            divided = self._divide(records, self.fractions, {})
        else:
            others = {name: share for name, share in self.fractions.items() if name != "test"}
            fractions = {name: share / sum(others.values()) for name, share in others.items()}
            rest = [record for record in records if record["published"] != "test"]
            kept = {name: share for name, share in self.fractions.items() if name == "test"}
            # slides to test on alone, as of another site: nothing is divided
            divided = self._divide(rest, fractions, kept) if rest else {key: [] for key in others}
            divided = {**divided, "test": test}
        return {
            name: [{key: value for key, value in record.items() if key != "published"} for record in section]
            for name, section in divided.items()
        }

    def of_slides(self, slides: Sequence[SourceSlide]) -> dict[str, int]:
        """Return how many slides each section would have, if all of these can be used.

        Raises:
            DataError: if none of them is labelled, or no split is possible.
        """
        labelled = [
            {"id": slide.identity, "patient": slide.patient, "label": slide.label, "published": slide.published}
            for slide in slides
            if slide.label is not None
        ]
        if not labelled:
            raise DataError(f"no usable labelled slide ({len(slides)} without label)")
        return {name: len(section) for name, section in self(labelled).items()}

    def _divide(
        self, records: Sequence[Mapping[str, Any]], fractions: Mapping[str, float], kept: Mapping[str, float]
    ) -> dict[str, _Records]:
        words = SplitWords("patient", self.classes, "--fractions", kept)
        return split_records(records, fractions, "patient", seed=self.seed, words=words)
