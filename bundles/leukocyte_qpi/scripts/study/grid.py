"""The runs of the study, in the order in which they are done: what matters most comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.study.settings import StudySettings

__all__ = ["BASELINE", "Run", "all_runs"]

BASELINE = "logistic regression"


@dataclass(frozen=True)
class Run:
    """One training and what is measured with it.

    Attributes:
        experiment: ``cross_validation``, ``leave_one_source_out``, ``wrong_labels`` or ``explanations``.
        network: name of the network's class, or :data:`BASELINE`.
        dropout: dropout rate.
        seed: of the partition, the weights, the batches and the masks.
        part: what is held out: the number of the fold, or the name of the source; in ``explanations`` whether the
            network is ``trained`` or ``untrained``.
        label_noise: share of wrong training labels.
        perturbed: whether the held-out cells are also classified under perturbations.
    """

    experiment: str
    network: str
    dropout: float
    seed: int
    part: str
    label_noise: float = 0.0
    perturbed: bool = False

    @property
    def key(self) -> str:
        """Name of the run, and of its result's file."""
        what = f"{self.network.replace(' ', '_')}_dropout{self.dropout:g}_noise{self.label_noise:g}"
        return f"{self.experiment}/{what}_seed{self.seed}_{self.part}"


def all_runs(settings: StudySettings, sources: Sequence[str]) -> list[Run]:
    """Return all runs.

    Args:
        settings: of the study.
        sources: names of the sources, each of which is held out once.
    """
    folds = [f"fold{fold + 1}" for fold in range(settings.folds)]
    networks, rate = list(settings.networks), settings.dropout_rate
    baseline = [Run("cross_validation", BASELINE, 0.0, seed, fold) for seed in settings.seeds for fold in folds]
    baseline += [Run("leave_one_source_out", BASELINE, 0.0, seed, s) for seed in settings.seeds for s in sources]
    main = [
        Run("cross_validation", network, dropout, seed, fold, perturbed=dropout == rate)
        for network in networks
        for seed in settings.seeds
        for dropout in settings.dropout_rates
        for fold in folds
    ]
    other_source = [
        Run("leave_one_source_out", network, rate, seed, source)
        for seed in settings.seeds
        for network in networks
        for source in sources
    ]
    rest = []
    for seed in settings.seeds:
        rest += [Run("explanations", network, 0.0, seed, "untrained") for network in networks]
        rest += [
            Run("explanations", network, dropout, seed, "trained")
            for network in networks
            for dropout in settings.dropout_rates
        ]
        rest += [
            Run("wrong_labels", network, rate, seed, fold, label_noise=noise)
            for network in networks
            for noise in settings.label_noise
            for fold in folds
        ]
    return baseline + main + other_source + rest
