"""The elements of interpretability for values of instances: what has to explain bags again, and what is left open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import nn

from shared.evaluation.interpretability.file import not_measured
from shared.saliency.bags.noise_stability import bag_noise_stability
from shared.saliency.interpretability_rows import measure_rows
from shared.saliency.sanity.checks import SanityChecks
from shared.saliency.sanity.explained import Explained, ExplainedBags, ExplainedImages
from shared.saliency.seed_stability import load_other_models, seed_stability
from shared.saliency.transparency.report import measure_transparency

__all__ = ["BAG_MEASURES", "BagElements", "CheckedBags", "unmeasured_rows"]

Row = dict[str, Any]

#: Measures that apply to values of instances, where no lesion is outlined.
BAG_MEASURES = (
    "instance_auc", "instance_ndcg", "instance_ap",
    "sparseness", "entropy", "noise_stability", "seed_stability", "reader_study",
    "cause_share", "map_response",
    "completeness_error", "oracle_error", "cascading_randomisation", "random_logit",
    "aupc_drop", "aupc_add", "aopc_r",
)  # fmt: skip

NO_READERS = "no readers have judged these explanations yet"


@dataclass(frozen=True)
class CheckedBags:
    """What was found by explaining bags again.

    Attributes:
        rows: of the interpretability file.
        satisfies: by method, what it satisfies, in sentences.
        failed: by method, the sanity checks that it failed, in sentences.
    """

    rows: list[Row]
    satisfies: dict[str, list[str]]
    failed: dict[str, list[str]]


@dataclass(frozen=True)
class BagElements:
    """Settings of what has to explain bags again.

    Args:
        checked_samples: bags that are explained again.
        sanity: the sanity checks.
        noise_level: see :func:`shared.saliency.bags.noise_stability.noisy_bags`.
        noise_draws: see there.
        other_model_files: weights of trainings from other seeds.
        training_command: a command that makes such a training, for the reader.
        seed: of draws and intervals.
    """

    checked_samples: int = 6
    sanity: SanityChecks = field(default_factory=SanityChecks)
    noise_level: float = 0.02
    noise_draws: int = 2
    other_model_files: Sequence[str | os.PathLike[str]] = ()
    training_command: str = ""
    seed: int = 0

    def draw(self, count: int) -> list[int]:
        """Return which of ``count`` bags are explained again, drawn at random, in their order."""
        chosen = min(self.checked_samples, count)
        return sorted(np.random.default_rng(self.seed).choice(count, chosen, replace=False).tolist())

    def others(
        self, network: nn.Module, wrap: Callable[[nn.Module], nn.Module] = lambda network: network
    ) -> list[nn.Module]:
        """Return the networks of the other trainings.

        Args:
            network: the network whose weights the files hold.
            wrap: puts a network behind what the methods explain.
        """
        return [wrap(other) for other in load_other_models(network, self.other_model_files)]

    def check(
        self,
        explained: Explained,
        noisy: Iterable[Explained],
        others: Sequence[nn.Module] = (),
        groups: ArrayLike | None = None,
        names: Sequence[str] | None = None,
    ) -> CheckedBags:
        """Check all methods.

        Args:
            explained: bags, methods and network.
            noisy: the same with noise on the bags, :attr:`noise_draws` times.
            others: networks of other trainings, as ``explained`` takes them.
            groups: patient of each bag, if bags belong together.
            names: of the bags, by which other runs know them too.

        Returns:
            Rows of stability under noise and between trainings, of both sanity checks and, of bags of features, of
            completeness and error against an oracle.
        """
        report = self.sanity.run(explained, groups)
        rows = report.rows()
        satisfies: dict[str, list[str]] = {name: [] for name in report.original}
        if isinstance(explained, ExplainedImages | ExplainedBags):
            transparency = measure_transparency(explained, report.original, groups=groups, seed=self.seed)
            rows += transparency.rows
            satisfies = transparency.satisfies
        command = self.training_command
        rows += seed_stability(explained, report.original, others, command=command, groups=groups, seed=self.seed)
        parameters = {"noise_level": self.noise_level, "draws": self.noise_draws, "similarity": "rank_correlation"}
        for name, values in bag_noise_stability(explained, report.original, noisy).items():
            # instances have no place in common with those of another bag: unrelated orders correlate by 0
            quality = {"noise_stability": {"value": values, "chance": np.zeros(len(values))}}
            stated = {"noise_stability": parameters}
            rows += measure_rows(name, quality, groups=groups, seed=self.seed, parameters=stated, ids=names)
        return CheckedBags(rows, satisfies, {name: report.failed(name) for name in report.original})


def unmeasured_rows(
    rows: Sequence[Row], methods: Iterable[str], measures: Iterable[str], reasons: Mapping[str, str], otherwise: str
) -> list[Row]:
    """Return rows for the measures that a method has none of, so that nothing is left open in silence.

    Args:
        rows: what there is.
        methods: of which each measure must have a row.
        measures: that apply to these methods.
        reasons: why one was not taken, by measure; a reader study has its own.
        otherwise: why any other was not.
    """
    present = {(entry["measure"], entry["method"]) for entry in rows}
    known = {"reader_study": NO_READERS, **reasons}
    return [
        not_measured(measure, known.get(measure, otherwise), method)
        for method in methods
        for measure in measures
        if (measure, method) not in present
    ]
