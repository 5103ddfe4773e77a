"""What each section of the page says, as plain values for the template. ``None`` or empty is "not measured"."""

from shared.report.sections.alarms import alarm_section, flagged_cases
from shared.report.sections.bag_quality import bag_quality_section
from shared.report.sections.bags import bag_section
from shared.report.sections.calibration import calibration_section
from shared.report.sections.decisions import acceptance_section, decision_section, selective_section
from shared.report.sections.discrimination import discrimination_section, shortcut_section
from shared.report.sections.failures import failure_section
from shared.report.sections.interpretability import element_grids
from shared.report.sections.label_calibration import label_calibration_section
from shared.report.sections.lesions import lesion_section
from shared.report.sections.outliers import outlier_section
from shared.report.sections.provenance import provenance_section
from shared.report.sections.quality import marker_section, quality_section
from shared.report.sections.repeatability import repeatability_section
from shared.report.sections.resampling import resampling_of
from shared.report.sections.results import confusion_section, headline_section, purpose_section
from shared.report.sections.sanity import sanity_section
from shared.report.sections.sensitivity import sensitivity_section
from shared.report.sections.slides import slide_section
from shared.report.sections.subgroups import subgroup_section
from shared.report.sections.time_saving import time_saving_section

__all__ = [
    "acceptance_section",
    "alarm_section",
    "bag_quality_section",
    "bag_section",
    "calibration_section",
    "confusion_section",
    "decision_section",
    "discrimination_section",
    "element_grids",
    "failure_section",
    "flagged_cases",
    "headline_section",
    "label_calibration_section",
    "lesion_section",
    "marker_section",
    "outlier_section",
    "provenance_section",
    "purpose_section",
    "quality_section",
    "repeatability_section",
    "resampling_of",
    "sanity_section",
    "selective_section",
    "sensitivity_section",
    "shortcut_section",
    "slide_section",
    "subgroup_section",
    "time_saving_section",
]
