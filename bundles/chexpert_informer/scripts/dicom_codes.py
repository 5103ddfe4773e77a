"""The coded concepts of the structured report: SNOMED CT where it has them, a private scheme for the rest."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

__all__ = [
    "ABSENT", "ACCEPT", "ALARM", "CHEST_X_RAY", "CONFIDENCE", "DECISION", "DEFER", "DISTINCTIVENESS", "FINDING_CODES",
    "NOT_RAISED", "PRESENCE", "PRESENT", "PROBABILITY", "RAISED", "private_scheme",
]  # fmt: skip

SCHEME = "99MEB"


def _private(value: str, meaning: str) -> Code:
    return Code(value, SCHEME, meaning)


#: the bundle's findings; SNOMED CT
FINDING_CODES = {
    "atelectasis": Code("46621007", "SCT", "Atelectasis"),
    "cardiomegaly": Code("8186001", "SCT", "Cardiomegaly"),
    "consolidation": Code("95436008", "SCT", "Lung consolidation"),
    "edema": Code("19242006", "SCT", "Pulmonary edema"),
    "pleural_effusion": Code("60046008", "SCT", "Pleural effusion"),
}
CHEST_X_RAY = Code("399208008", "SCT", "Plain chest X-ray")
PRESENCE = Code("705057003", "SCT", "Presence")
# context group 240, "Present-Absent"
PRESENT, ABSENT = Code("52101004", "SCT", "Present"), Code("2667000", "SCT", "Absent")

PROBABILITY = _private("probability", "Calibrated probability of the finding")
CONFIDENCE = _private("confidence", "Confidence above chance in what is said of the finding")
DISTINCTIVENESS = _private("distinctiveness", "Distance of the finding's saliency map from those of the others")
ALARM = _private("alarm", "Alarm on the prediction")
RAISED, NOT_RAISED = _private("alarm-raised", "Alarm raised"), _private("alarm-not-raised", "No alarm raised")
DECISION = _private("decision", "What is to be done with the prediction")
ACCEPT, DEFER = _private("accept", "Accept the prediction"), _private("defer", "Leave the finding to a person")


def private_scheme() -> Dataset:
    """Return what a reader is told of the private scheme: an item of CodingSchemeIdentificationSequence."""
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = "monai-explainable-bundles"
    item.CodingSchemeResponsibleOrganization = "The developers of monai-explainable-bundles"
    return item
