"""Everything a user may change about the phantom chests, with units. A config's mapping replaces values by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.phantoms.parameters import Spread, override

__all__ = [
    "FINDING_KINDS",
    "LOG_ODDS",
    "Acquisition",
    "Distractors",
    "FindingKind",
    "PhantomParameters",
    "Reports",
    "Shortcut",
    "ThoraxSpread",
]


@dataclass(frozen=True)
class FindingKind:
    """How often a finding occurs and how strong it is.

    The **extent** of a finding runs from 0 (nothing) to 1 (as strong as drawn at all) and is drawn continuously across
    :attr:`Reports.threshold`, from which on the finding counts as present.

    Args:
        prevalence: share of the studies that have it.
        strength: α and β of the Beta distribution of a present finding's extent between threshold and 1; mass near 0
            makes subtle findings.
        trace_share: share of the studies without the finding that show a trace of it, below the threshold.
    """

    prevalence: float
    strength: tuple[float, float]
    trace_share: float


# The shares are those of CheXpert's validation set, in which three radiologists decided: 80, 68, 33, 45 and 67 of 234.
FINDING_KINDS: dict[str, FindingKind] = {
    "atelectasis": FindingKind(prevalence=0.34, strength=(1.3, 1.7), trace_share=0.25),
    "cardiomegaly": FindingKind(prevalence=0.29, strength=(1.0, 3.0), trace_share=0.45),
    "consolidation": FindingKind(prevalence=0.14, strength=(1.3, 1.6), trace_share=0.20),
    "edema": FindingKind(prevalence=0.19, strength=(1.0, 2.6), trace_share=0.40),
    "pleural_effusion": FindingKind(prevalence=0.29, strength=(1.0, 2.4), trace_share=0.40),
}

# Pairwise log odds ratios. Their signs and order are what the disease makes of them (heart failure has a large heart,
# edema and effusions; an effusion compresses the lung below it); CheXpert's authors do not print them.
LOG_ODDS: dict[str, float] = {
    "atelectasis+cardiomegaly": 0.1,
    "atelectasis+consolidation": 0.2,
    "atelectasis+edema": 0.1,
    "atelectasis+pleural_effusion": 0.9,
    "cardiomegaly+consolidation": -0.2,
    "cardiomegaly+edema": 1.1,
    "cardiomegaly+pleural_effusion": 0.5,
    "consolidation+edema": 0.0,
    "consolidation+pleural_effusion": 0.6,
    "edema+pleural_effusion": 0.9,
}


@dataclass(frozen=True)
class Reports:
    """How a radiologist's report, read by a labeller, puts a finding: the labels of the training set.

    Args:
        threshold: extent from which on a finding counts as present.
        certainty: distance in extent from the threshold over which doubt falls to ``1 / e``.
        doubt: probability of the uncertain label −1 at the threshold.
        missed: probability, at the threshold, that a present finding which is not in doubt goes unmentioned; it falls
            as doubt does.
        explicit: probability that an absent finding is denied (0) instead of left out (blank).
    """

    threshold: float = 0.25
    certainty: float = 0.16
    doubt: float = 0.65
    missed: float = 0.35
    explicit: float = 0.15


@dataclass(frozen=True)
class ThoraxSpread:
    """How chests vary. Lengths in cm.

    Args:
        half_width: half the inner width of the chest at its widest, men.
        female_scale: factor on a woman's lengths.
        lung_height: from the apex to the right diaphragm in a full breath.
        shallow: factor on that height in a film taken in bed (AP).
        depth: of the chest's inside, from front to back.
        wall: soft tissue at each side beyond the chest.
        thickness: soft tissue before and behind the chest together.
        dome_difference: by how much the left diaphragm lies below the right one.
        dome_depth: from a dome down to its costophrenic angle.
        heart_ratio: width of a normal heart relative to the chest.
        right_share: share of the heart's width right of the midline.
        rib_spacing: of neighbouring ribs.
        vessel_calibre: factor on the width of the lungs' vessels.
        rotation: of the patient in the film, degrees.
        scoliosis: sideways amplitude of the spine.
    """

    half_width: Spread = Spread(14.6, 0.8, 12.5, 16.5)
    female_scale: float = 0.91
    lung_height: Spread = Spread(22.0, 1.5, 18.0, 25.5)
    shallow: Spread = Spread(0.89, 0.06, 0.74, 1.0)
    depth: Spread = Spread(15.5, 1.5, 12.0, 19.0)
    wall: Spread = Spread(3.6, 1.2, 2.0, 7.0)
    thickness: Spread = Spread(7.0, 1.6, 4.5, 12.0)
    dome_difference: Spread = Spread(1.1, 0.7, -0.6, 2.8)
    dome_depth: Spread = Spread(4.8, 0.6, 3.4, 6.5)
    heart_ratio: Spread = Spread(0.455, 0.025, 0.37, 0.485)
    right_share: Spread = Spread(0.34, 0.03, 0.26, 0.42)
    rib_spacing: Spread = Spread(2.35, 0.12, 2.0, 2.7)
    vessel_calibre: Spread = Spread(1.0, 0.18, 0.6, 1.5)
    rotation: Spread = Spread(0.0, 1.6, -5.0, 5.0)
    scoliosis: Spread = Spread(0.0, 0.25, -0.8, 0.8)


@dataclass(frozen=True)
class Distractors:
    """What is seen in chests and is none of the five findings. Probabilities by film, independent of the findings.

    Args:
        device_ap: of each kind of device (catheter, electrodes, pacemaker, tube) in a film taken in bed.
        device_pa: the same in an upright film.
        nodule: of a lung nodule.
        scar: of a fibrous line or an apical cap.
        gastric_bubble: of a visible air bubble in the stomach.
    """

    device_ap: float = 0.20
    device_pa: float = 0.06
    nodule: float = 0.10
    scar: float = 0.20
    gastric_bubble: float = 0.75


@dataclass(frozen=True)
class Acquisition:
    """The film.

    Args:
        ap_share: share of films taken in bed (AP); 161,590 of 191,010 frontal films of CheXpert's training set.
        field: side of the film, cm; with the image's size it gives the pixel size.
        photons: detected photons per cm² without a body, in an upright film; quantum noise follows from them.
        photons_ap: the same in bed.
        blur: standard deviation of focus and motion, cm.
        centre: attenuation (natural logarithm) that is shown as middle grey.
        latitude: attenuation that one unit of the logistic tone curve spans.
        latitude_ap: the same in bed, where scattered radiation flattens the film.
        unevenness: standard deviation of the film's uneven exposure, attenuation.
        collimation: probability that a black edge of the collimator is seen.
        side_marker: probability of the letter L.
    """

    ap_share: float = 0.85
    field: Spread = Spread(36.0, 1.8, 32.0, 41.0)
    photons: float = 3.0e6
    photons_ap: float = 1.5e6
    blur: Spread = Spread(0.07, 0.02, 0.03, 0.13)
    centre: Spread = Spread(2.85, 0.22, 2.3, 3.5)
    latitude: Spread = Spread(0.80, 0.10, 0.6, 1.1)
    latitude_ap: Spread = Spread(0.98, 0.14, 0.7, 1.4)
    unevenness: float = 0.06
    collimation: float = 0.3
    side_marker: float = 0.85


@dataclass(frozen=True)
class Shortcut:
    """The text that a film bears. In the variant ``plain`` it is as frequent, and says nothing.

    Args:
        text: what is written.
        finding: which finding the variant ``shortcut`` ties it to.
        with_finding: probability of the text in films with the finding, variant ``shortcut``.
        without_finding: probability in the others.
        height: of the letters, cm.
    """

    text: str = "PORTABLE"
    finding: str = "pleural_effusion"
    with_finding: float = 0.92
    without_finding: float = 0.08
    height: float = 1.1


@dataclass(frozen=True)
class PhantomParameters:
    """All parameters of the phantom chests.

    Example:
        >>> changed = PhantomParameters.from_config({"kinds": {"edema": {"prevalence": 0.3}}})
        >>> changed.kinds["edema"].prevalence, changed.kinds["edema"].trace_share
        (0.3, 0.4)
    """

    kinds: Mapping[str, FindingKind] = field(default_factory=lambda: dict(FINDING_KINDS))
    log_odds: Mapping[str, float] = field(default_factory=lambda: dict(LOG_ODDS))
    reports: Reports = field(default_factory=Reports)
    thorax: ThoraxSpread = field(default_factory=ThoraxSpread)
    distractors: Distractors = field(default_factory=Distractors)
    acquisition: Acquisition = field(default_factory=Acquisition)
    shortcut: Shortcut = field(default_factory=Shortcut)

    @classmethod
    def from_config(cls, changes: Mapping[str, Any] | None) -> PhantomParameters:
        """Return the defaults with the values of a nested mapping put in.

        Raises:
            ValueError: if a key names no parameter.
        """
        return override(cls(), changes or {})
