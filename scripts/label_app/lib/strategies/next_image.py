"""Which image a person should label next."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from lib.errors import RequestError
from lib.infers.bundle_infer import BundleInfer
from lib.inputs import Input
from lib.labelled import datastore_input

__all__ = ["STRATEGIES", "NextImage", "RandomImage"]

logger = logging.getLogger(__name__)

Answer = Mapping[str, Any]


def uncertainty(answer: Answer) -> float:
    """Return 1 less the calibrated confidence; of several findings, of the least certain one."""
    confidence = answer["confidence"]
    return 1.0 - (min(confidence.values()) if isinstance(confidence, dict) else confidence)


def alarms(answer: Answer) -> float:
    """Return how many alarms there are, and among as many the more uncertain first."""
    alarm = answer["alarm"]
    return (sum(alarm.values()) if isinstance(alarm, dict) else int(alarm)) + uncertainty(answer) / 2


def outlier_score(answer: Answer) -> float:
    """Return how unlike the training data the image is.

    Raises:
        RequestError: if the bundle computes no such score.
    """
    score = answer["further"].get("outlier_score")
    if score is None:
        raise RequestError(f"outlier: {answer['model']['bundle']} has no outlier score; use uncertainty or alarm")
    return float(score)


STRATEGIES: dict[str, tuple[str, Callable[[Answer], float]]] = {
    "uncertainty": ("the lowest calibrated confidence", uncertainty),
    "alarm": ("the most alarms, then the lowest calibrated confidence", alarms),
    "outlier": ("the highest outlier score", outlier_score),
}


class NextImage(Strategy):
    """Judges images without a label and returns the one with the highest score.

    Judgements are kept while the server runs, as long as image and weights are the same. Of many new images a request
    judges ``candidates`` only, drawn at random: the next request judges further ones.

    Args:
        name: one of :data:`STRATEGIES`.
        infers: the models by name.
        judged: judgements, shared by all strategies.
        candidates: new images judged at one request, unless it names another number.
    """

    def __init__(
        self, name: str, infers: Mapping[str, BundleInfer], judged: dict[str, Answer], candidates: int = 50
    ) -> None:
        description, self.score = STRATEGIES[name]
        super().__init__(f"{description} among images without a label")
        self.infers = infers
        self.judged = judged
        self.candidates = candidates

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return ``id``, ``score``, ``model`` and how many images were compared; None if none is left."""
        infer = _model(request, self.infers)
        number = int(request.get("candidates", self.candidates))
        inputs = _unlabelled(infer, datastore)
        weights = infer.worker.ask("check")["weights_sha256"]
        keys = {given.name: f"{infer.model.name} {weights} {given.version()}" for given in inputs}
        new = [given for given in inputs if keys[given.name] not in self.judged]
        if len(new) > number:
            new = random.sample(new, number)
        answers, refused = infer.judge_all(new)
        for name, reason in refused.items():
            logger.warning(f"{name}: {reason}")
        self.judged.update({keys[name]: answer for name, answer in answers.items()})
        self.judged.update({keys[name]: {} for name in refused})
        scores = {name: self.score(self.judged[key]) for name, key in keys.items() if self.judged.get(key)}
        if not scores:
            return None
        # of equal ones the first by name: an answer that can be had again
        best = max(sorted(scores), key=lambda name: scores[name])
        return {"id": best, "weight": scores[best], "model": infer.model.name, "compared": len(scores)}


class RandomImage(Strategy):
    """Any image without a label.

    Args:
        infers: the models by name.
    """

    def __init__(self, infers: Mapping[str, BundleInfer]) -> None:
        super().__init__("any image without a label, with the same chance")
        self.infers = infers

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return ``id`` and ``weight``; None if none is left."""
        if request.get("model") is not None or len(self.infers) == 1:
            names = [given.name for given in _unlabelled(_model(request, self.infers), datastore)]
        else:
            names = list(datastore.get_unlabeled_images())
        return {"id": random.choice(names), "weight": 1 / len(names)} if names else None


def _model(request: Mapping[str, Any], infers: Mapping[str, BundleInfer]) -> BundleInfer:
    named = request.get("model")
    if named is None and len(infers) == 1:
        return next(iter(infers.values()))
    if str(named) not in infers:
        raise RequestError(f"model is {named!r}: name one of {', '.join(infers)}", 400 if named is None else 404)
    return infers[str(named)]


def _unlabelled(infer: BundleInfer, datastore: Datastore) -> list[Input]:
    found = [datastore_input(datastore, name) for name in datastore.get_unlabeled_images()]
    return [given for given in found if given.source.suffix.lower() in infer.model.upload_suffixes]
