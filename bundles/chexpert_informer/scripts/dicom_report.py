"""What is said of a radiograph as DICOM structured report: measurement report, TID 1500."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from highdicom import UID
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from scripts import dicom_codes as concepts
from scripts.dicom_dates import date_result
from scripts.dicom_overlay import MANUFACTURER
from scripts.dicom_uids import ResultUids
from shared import __version__

__all__ = ["REPORT", "FindingResult", "report_instance"]

#: kind of the report's own UID, see :class:`scripts.dicom_uids.ResultUids`
REPORT = "report"
#: of the software as a device, the same in every report
DEVICE = UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_DNS, 'chexpert-informer.monai-explainable-bundles').int}")


@dataclass(frozen=True)
class FindingResult:
    """What is said of one finding.

    Attributes:
        name: of the finding, one of :data:`scripts.dicom_codes.FINDING_CODES`.
        probability: calibrated, in [0, 1].
        confidence: see :class:`scripts.informer_classifier.Findings`.
        distinctiveness: of its saliency map; NaN where that has no direction.
        present: what is predicted.
        alarm: whether the alarm flags the prediction.
        reason: in words.
    """

    name: str
    probability: float
    confidence: float
    distinctiveness: float
    present: bool
    alarm: bool
    reason: str


def report_instance(
    source: Dataset,
    results: Sequence[FindingResult],
    overlays: Mapping[str, Dataset],
    *,
    uids: ResultUids,
    intended_use: str,
    series_number: int,
    moment: datetime,
) -> ComprehensiveSR:
    """Return the report: a measurement group for each finding, which refers to the source image and to its overlay.

    A group holds the calibrated probability, the confidence and the distinctiveness, whether the finding is present,
    whether the alarm was raised, and the decision, each coded, and the reason as comment. The report is complete,
    preliminary and not verified: no person has seen it.

    Args:
        source: header of the source image, see :mod:`scripts.dicom_identity`: patient and study are its own.
        results: of the findings.
        overlays: Secondary Capture of a finding, by its name.
        uids: of results.
        intended_use: what the results may be used for.
        series_number: of the report's series.
        moment: when it was made.
    """
    algorithm = AlgorithmIdentification(
        name="chexpert_informer",
        version=__version__,
        parameters=[
            *(f"{name}={uids.made_with[name]}" for name in ("weights_sha256", "calibration_sha256")),
            f"intended_use={intended_use}",
        ],
        manufacturer=MANUFACTURER,
    )
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=DEVICE, name="chexpert_informer", manufacturer_name=MANUFACTURER, model_name="chexpert_informer"
        ),
    )
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=concepts.CHEST_X_RAY,
        imaging_measurements=[_group(source, result, overlays.get(result.name), algorithm, uids) for result in results],
        title=codes.DCM.ImagingMeasurementReport,
    )
    report = ComprehensiveSR(
        evidence=[source, *overlays.values()],
        content=content,
        series_instance_uid=uids.uid(source.SOPInstanceUID, "report series"),
        series_number=series_number,
        sop_instance_uid=uids.uid(source.SOPInstanceUID, REPORT),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="chexpert_informer",
        software_versions=__version__,
        series_description="Chest findings with confidence and alarm",
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    report.CodingSchemeIdentificationSequence = [concepts.private_scheme()]
    date_result(report, source, moment)
    return report


def _group(
    source: Dataset,
    result: FindingResult,
    overlay: Dataset | None,
    algorithm: AlgorithmIdentification,
    uids: ResultUids,
) -> MeasurementsAndQualitativeEvaluations:
    numbers = [(concepts.PROBABILITY, result.probability), (concepts.CONFIDENCE, result.confidence)]
    if not math.isnan(result.distinctiveness):
        numbers.append((concepts.DISTINCTIVENESS, result.distinctiveness))
    said = [
        (concepts.PRESENCE, concepts.PRESENT if result.present else concepts.ABSENT),
        (concepts.ALARM, concepts.RAISED if result.alarm else concepts.NOT_RAISED),
        (concepts.DECISION, concepts.DEFER if result.alarm else concepts.ACCEPT),
    ]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=uids.uid(source.SOPInstanceUID, f"tracked {result.name}"), identifier=result.name
        ),
        finding_type=concepts.FINDING_CODES[result.name],
        algorithm_id=algorithm,
        measurements=[Measurement(name=name, value=value, unit=codes.UCUM.NoUnits) for name, value in numbers],
        qualitative_evaluations=[QualitativeEvaluation(name=name, value=value) for name, value in said],
        source_images=[SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
    )
    contained = RelationshipTypeValues.CONTAINS
    children = group[0].ContentSequence
    children.append(TextContentItem(CodedConcept.from_code(codes.DCM.Comment), result.reason, contained))
    if overlay is not None:
        children.append(
            ImageContentItem(
                name=CodedConcept.from_code(codes.DCM.IllustrationOfROI),
                referenced_sop_class_uid=overlay.SOPClassUID,
                referenced_sop_instance_uid=overlay.SOPInstanceUID,
                relationship_type=contained,
            )
        )
    return group
