"""The runs of the study, in the order in which they are done: what matters most comes first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.study.settings import StudySettings

__all__ = ["BASELINE", "Run", "all_runs", "expected_cost"]

BASELINE = "logistic regression"
COSTS = {BASELINE: 1, "LeNet5": 8, "AlexNet": 40}


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
    """Return all runs: the fast network first, with a row of each kind, then the main comparison, then the rest.

    Args:
        settings: of the study; its first network is the one that is trained fastest.
        sources: names of the sources, each of which is held out once.
    """
    seeds, networks, rate = settings.seeds, list(settings.networks), settings.dropout_rate
    folds = [f"fold{fold + 1}" for fold in range(settings.folds)]
    runs = [Run("cross_validation", BASELINE, 0.0, seed, fold) for seed in seeds for fold in folds]
    runs += [Run("leave_one_source_out", BASELINE, 0.0, seed, source) for seed in seeds for source in sources]
    for network, seed in itertools.product(networks, seeds):
        runs += [
            Run("cross_validation", network, dropout, seed, fold, perturbed=dropout == rate)
            for dropout in settings.dropout_rates
            for fold in folds
        ]
        runs += [Run("leave_one_source_out", network, rate, seed, source) for source in sources]
        if seed not in seeds[: settings.further_seeds.get(network, len(seeds))]:
            continue
        runs += [Run("explanations", network, 0.0, seed, "untrained")]
        runs += [Run("explanations", network, dropout, seed, "trained") for dropout in settings.dropout_rates]
        runs += [
            Run("wrong_labels", network, rate, seed, fold, label_noise=noise)
            for noise in settings.label_noise
            for fold in folds
        ]

    def stage(run: Run) -> int:
        main, cheap, first = run.experiment == "cross_validation", run.network == networks[0], run.seed == seeds[0]
        if run.network == BASELINE:
            return 0
        if main and cheap:
            return 1
        if cheap and first:
            return 2
        if main:
            return 3
        if run.experiment == "leave_one_source_out":
            return 4
        return 5 if cheap else 6 + seeds.index(run.seed)

    return sorted(runs, key=stage)


def expected_cost(run: Run) -> float:
    """Return a run's expected share of the whole."""
    return COSTS.get(run.network, 1)
