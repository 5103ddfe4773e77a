"""From the results of a model's folds to one set of held-out predictions per repeat, each patient predicted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from scripts.study.choices import calibrated_loss, temperature_of, youden_threshold
from scripts.study.grid import Run
from scripts.study.workshop import Workshop
from shared.data.errors import DataError
from shared.study.repeats import join_parts

__all__ = ["HeldOut", "held_out"]

Floats = NDArray[np.float64]
#: arrays of logits that become calibrated probabilities, by their name in :class:`HeldOut`
CALIBRATED = {"test_logits": "after", "image_set_logits": "image_sets", "fewer_logits": "fewer"}
#: arrays of logits that become probabilities as they are
PLAIN = {"image_logits": "image_expert", "attributes_logits": "attribute_expert"}
#: attributes of :class:`HeldOut` that begin with the repeats
OF_REPEATS = ("before", "after", "validation_losses")


@dataclass(frozen=True)
class HeldOut:
    """Predictions of tumoral for all P patients by the models of S repeats, the patients in their order.

    Attributes:
        repeats: the repeats.
        before: probabilities without a temperature ``(S, P)``.
        after: with the temperature of the patient's fold.
        at_threshold: whether a patient is called tumoral at the threshold of the fold, ``(S, P)``.
        temperatures: of all folds, ``(S · folds,)``.
        validation_losses: of each repeat ``(S,)``, the mean over its folds of the calibrated loss on the validation
            patients, in nats.
        more: further arrays ``(S, P, ...)`` by name, for models that have them: ``image_sets`` ``(S, P, sets)`` and
            ``fewer`` ``(S, P, sizes, draws)``, calibrated probabilities; ``image_expert``, ``attribute_expert``,
            probabilities of the experts, not calibrated; ``gate``.
        attention: for attention pooling the weights of each patient's cells, one list of P for each repeat.
    """

    repeats: tuple[int, ...]
    before: Floats
    after: Floats
    at_threshold: NDArray[np.bool_]
    temperatures: Floats
    validation_losses: Floats
    more: dict[str, Floats] = field(default_factory=dict)
    attention: list[list[Floats]] = field(default_factory=list)

    def of(self, repeats: Sequence[int], name: str = "after") -> Floats:
        """Return an array of some of the repeats only."""
        values = getattr(self, name) if name in OF_REPEATS else self.more[name]
        return values[[self.repeats.index(repeat) for repeat in repeats]]


def held_out(workshop: Workshop, model: str, repeats: Sequence[int]) -> HeldOut:
    """Join the folds of a model.

    Each fold's logits get the temperature, and its patients the threshold, that were fitted on that fold's validation
    patients, never on its held-out ones.

    Args:
        workshop: of the study.
        model: its name.
        repeats: those all of whose folds are done.

    Raises:
        DataError: if a repeat does not hold out every patient once.
    """
    joined = [
        _join(workshop, [Run(model, repeat, fold) for fold in range(workshop.settings.folds)]) for repeat in repeats
    ]

    def stacked(name: str) -> Any:
        return np.stack([part["arrays"][name] for part in joined])

    names = [name for name in joined[0]["arrays"] if name not in ("before", "after", "at_threshold")]
    return HeldOut(
        repeats=tuple(repeats),
        before=stacked("before"),
        after=stacked("after"),
        at_threshold=stacked("at_threshold"),
        temperatures=np.concatenate([part["temperatures"] for part in joined]),
        validation_losses=np.array([np.mean(part["losses"]) for part in joined]),
        more={name: stacked(name) for name in names},
        attention=[part["attention"] for part in joined if part["attention"]],
    )


def _join(workshop: Workshop, runs: Sequence[Run]) -> dict[str, Any]:
    """Join the folds of one repeat."""
    labels, lengths = workshop.patients.labels, workshop.patients.lengths
    folds: list[dict[str, NDArray[Any]]] = []
    temperatures, losses, indices = [], [], []
    attention: list[tuple[int, Floats]] = []
    for run in runs:
        result, calibrate = workshop.result(run), workshop.facts(run)["calibrate"]
        truth = labels[result["validation_index"]]
        temperature = temperature_of(result["validation_logits"], truth) if calibrate else 1.0
        threshold = youden_threshold(result["validation_logits"] / temperature, truth) if calibrate else 0.5
        temperatures.append(temperature)
        losses.append(calibrated_loss(result["validation_logits"], truth))
        indices.append(result["test_index"])
        fold = {
            "before": expit(result["test_logits"]),
            **{name: expit(result[key] / temperature) for key, name in CALIBRATED.items() if key in result},
            **{name: expit(result[key]) for key, name in PLAIN.items() if key in result},
            **({"gate": result["gate"]} if "gate" in result else {}),
        }
        fold["at_threshold"] = fold["after"] > threshold
        folds.append(fold)
        if "attention" in result:
            parts = np.split(result["attention"], np.cumsum(lengths[result["test_index"]])[:-1])
            attention += zip(result["test_index"].tolist(), parts, strict=True)
    index, arrays = join_parts(indices, folds)
    if not np.array_equal(index, np.arange(len(labels))):
        raise DataError(f"{runs[0].key}: the folds do not hold out every patient once; delete {runs[0].model}'s runs")
    return {
        "arrays": arrays,
        "temperatures": temperatures,
        "losses": losses,
        "attention": [weights for _, weights in sorted(attention, key=lambda pair: pair[0])],
    }
