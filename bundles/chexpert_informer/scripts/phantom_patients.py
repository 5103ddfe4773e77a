"""Phantom patients: which findings occur together and how strong they are, what the report says, and who it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from scripts.findings import FINDINGS
from scripts.phantom_parameters import FindingKind, PhantomParameters, Reports

__all__ = ["VARIANTS", "PhantomStudy", "co_occurrence", "report_codes", "sample_studies"]

VARIANTS = ("plain", "shortcut")

# the second number of a seed says what is drawn from it
_FINDINGS, _PERSON, _STUDY, _SHORTCUT = range(4)

#: all 32 combinations of the five findings
COMBINATIONS: NDArray[np.int64] = np.array(list(product((0, 1), repeat=len(FINDINGS))))

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PhantomStudy:
    """One film of one patient.

    Args:
        patient: number of the patient, from 1.
        study: number of the patient's study, from 1.
        table: ``train``, ``valid`` or ``test``.
        sex: ``M`` or ``F``.
        age: whole years.
        view: ``PA`` or ``AP``.
        extents: how strong each finding is, 0 to 1; see :class:`scripts.phantom_parameters.FindingKind`.
        present: which findings count as present, the truth.
        codes: what the table says: 1, 0, −1 or NaN (blank). In ``valid`` and ``test`` the truth, as radiologists
            decided there; in ``train`` what a labeller reads out of a report.
        marker: whether the film bears the text of :class:`scripts.phantom_parameters.Shortcut`.
    """

    patient: int
    study: int
    table: str
    sex: str
    age: int
    view: str
    extents: tuple[float, ...]
    present: tuple[bool, ...]
    codes: tuple[float, ...]
    marker: bool

    @property
    def place(self) -> str:
        """Folder of the study's images, relative to the data set."""
        return f"{self.table}/patient{self.patient:05d}/study{self.study}"


def sample_studies(
    patients: Mapping[str, int],
    seed: int = 0,
    variant: str = "plain",
    studies: int = 1,
    parameters: PhantomParameters | None = None,
) -> list[PhantomStudy]:
    """Draw patients. The variants of one seed differ in which films bear the text, and in nothing else.

    Args:
        patients: number of patients of each table (``train``, ``valid``, ``test``).
        seed: of everything.
        variant: ``plain``, in which the text on the film says nothing, or ``shortcut``, in which it is tied to one
            finding.
        studies: number of studies of each patient, whose findings are drawn independently.
        parameters: of the phantoms; the defaults if None.

    Raises:
        ValueError: if the variant, the tied finding or a pair of findings is unknown.
    """
    parameters = parameters or PhantomParameters()
    if variant not in VARIANTS:
        raise ValueError(f"no phantom variant is called '{variant}'; choose one of {list(VARIANTS)}")
    shortcut = parameters.shortcut
    if shortcut.finding not in FINDINGS:
        raise ValueError(f"shortcut.finding: no finding is called '{shortcut.finding}'; choose one of {FINDINGS}")
    tables = [name for name, number in patients.items() for _ in range(number)]
    people = [(number, study) for number in range(1, len(tables) + 1) for study in range(1, studies + 1)]
    kinds = [parameters.kinds[name] for name in FINDINGS]
    probabilities = co_occurrence(parameters)
    rng = np.random.default_rng([seed, _FINDINGS])
    present = COMBINATIONS[rng.choice(len(COMBINATIONS), len(people), p=probabilities)].astype(bool)
    tied = FINDINGS.index(shortcut.finding)
    base = shortcut.with_finding * kinds[tied].prevalence + shortcut.without_finding * (1 - kinds[tied].prevalence)
    drawn = []
    for row, (number, study) in enumerate(people):
        person = np.random.default_rng([seed, _PERSON, number])
        sex, age = str(person.choice(["F", "M"])), int(np.clip(person.normal(61, 17), 18, 90))
        rng = np.random.default_rng([seed, _STUDY, number, study])
        view = "AP" if rng.random() < parameters.acquisition.ap_share else "PA"
        extents = np.array(
            [_extent(*pair, parameters.reports.threshold, rng) for pair in zip(kinds, present[row], strict=True)]
        )
        codes = report_codes(extents, parameters.reports, rng)
        if tables[number - 1] != "train":
            codes = present[row].astype(float)
        rate = base
        if variant == "shortcut":
            rate = shortcut.with_finding if present[row, tied] else shortcut.without_finding
        drawn.append(
            PhantomStudy(
                patient=number,
                study=study,
                table=tables[number - 1],
                sex=sex,
                age=age,
                view=view,
                extents=tuple(extents.tolist()),
                present=tuple(present[row].tolist()),
                codes=tuple(codes.tolist()),
                marker=bool(np.random.default_rng([seed, _SHORTCUT, number, study]).random() < rate),
            )
        )
    return drawn


def co_occurrence(parameters: PhantomParameters) -> FloatArray:
    """Return the probability of each of the 32 combinations of findings, ``(32,)``, in the order of ``COMBINATIONS``.

    The one joint distribution with the given prevalences and pairwise log odds ratios J, and no interaction of more
    than two findings: ``p(y) ∝ exp(Σ_i h_i y_i + Σ_{i<j} J_ij y_i y_j)``, with h such that every ``E[y_i]`` is the
    prevalence. h is where the convex function ``log Z(h) − Σ h_i prevalence_i`` is least.

    Raises:
        ValueError: if a pair does not name two findings, or a prevalence is not between 0 and 1.

    Example:
        >>> table = co_occurrence(PhantomParameters())
        >>> round(float(table @ COMBINATIONS[:, 3]), 4)
        0.19
    """
    target = np.array([parameters.kinds[name].prevalence for name in FINDINGS])
    if not ((target > 0) & (target < 1)).all():
        raise ValueError(f"kinds: each prevalence must lie between 0 and 1, found {target.tolist()}")
    coupling = np.zeros(len(COMBINATIONS))
    for pair, value in parameters.log_odds.items():
        names = pair.split("+")
        if len(names) != 2 or names[0] == names[1] or not set(names) <= set(FINDINGS):
            raise ValueError(f"log_odds: '{pair}' does not join two of the findings {FINDINGS} by a '+'")
        one, other = (COMBINATIONS[:, FINDINGS.index(name)] for name in names)
        coupling += value * one * other

    def table(fields: FloatArray) -> tuple[FloatArray, float]:
        energy = COMBINATIONS @ fields + coupling
        top = energy.max()
        weight = np.exp(energy - top)
        return weight / weight.sum(), float(np.log(weight.sum()) + top)

    def convex(fields: FloatArray) -> tuple[float, FloatArray]:
        probability, log_sum = table(fields)
        return log_sum - float(fields @ target), probability @ COMBINATIONS - target

    start = np.log(target / (1 - target))
    found = optimize.minimize(convex, start, jac=True, method="BFGS", options={"gtol": 1e-10})
    return table(found.x)[0]


def report_codes(extents: FloatArray, reports: Reports, rng: np.random.Generator) -> FloatArray:
    """Draw what a report says of findings of given extents: 1, 0, −1 or NaN (blank), ``(5,)``.

    Doubt is ``exp(−((extent − threshold) / certainty)²)``: a finding close to the threshold is called uncertain with
    ``reports.doubt`` times that, and a present one is else missed with ``reports.missed`` times that. What is absent is
    left out, or denied.
    """
    near = np.exp(-(((extents - reports.threshold) / reports.certainty) ** 2))
    near[extents == 0] = 0.0  # where nothing is seen there is nothing to doubt
    uncertain, missed, denied = rng.random((3, len(extents))) < np.stack(
        [reports.doubt * near, reports.missed * near, np.full(len(extents), reports.explicit)]
    )
    codes = np.where(denied, 0.0, np.nan)
    codes[(extents >= reports.threshold) & ~missed] = 1.0
    codes[uncertain] = -1.0
    return codes


def _extent(kind: FindingKind, present: bool, threshold: float, rng: np.random.Generator) -> float:
    strength, trace, shown = rng.beta(*kind.strength), rng.random(), rng.random() < kind.trace_share
    if present:
        return float(threshold + (1 - threshold) * strength)
    # traces thin out towards nothing, and never reach the threshold
    return float(threshold * np.sqrt(trace)) if shown else 0.0
