"""The tables of the study of explanations."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scripts.study.explanation_results import ExplanationResults, FoundSet
from shared.data.files import atomic_path
from shared.saliency.bags.quality.bag_quality import CONTROL
from shared.saliency.titles import method_title
from shared.study.table import Cell, Picture, Row, Section, Table

__all__ = ["MEASURES", "build_table", "write_numbers"]

#: measure to its heading, by kind of bags
MEASURES = {
    "positive": {
        "aupc_drop": "AUPC drop ↓",
        "aupc_add": "AUPC add ↑",
        "aopc_r": "AOPC-R ↑",
        "instance_ndcg": "NDCG@n ↑",
        "instance_auc": "ROC AUC ↑",
        "instance_ap": "AP ↑",
        "froc": "lesion FROC ↑",
    },
    "negative": {
        "aupc_drop": "AUPC drop",
        "aupc_add": "AUPC add",
        "aopc_r": "AOPC-R",
        "peak_ratio": "peak against positive bags ↓",
    },
}
READING = (
    "Numbers are means over the training runs with the 95 % interval of Student's t and the standard deviation (SD) "
    "over the runs; every method explains the same bags of a run, and none of them was trained on. AUPC: mean "
    "probability while instances are dropped or added, the most relevant first, by rank. AOPC-R: mean fall of the "
    "probability beyond that of random orders. NDCG@n, ROC AUC and AP (average precision): values against the true "
    "instances within a bag. Lesion FROC: mean sensitivity to lesions at 1/4 to 8 false positives a slide. Random "
    "order (control): what knows nothing."
)
NOTES = {
    "positive": "Bags with evidence.",
    "negative": (
        "Bags without evidence. Peak: largest magnitude of a value over the mean magnitude in its bag, "
        "N max |v| / Σ |v|, which does not depend on the number N of instances; median of these bags over that of the "
        "positive bags of the run, geometric mean over the runs. Below 1 instances stand out less where there is "
        "nothing to find than where there is, above 1 more."
    ),
}


def build_table(results: ExplanationResults, pictures: list[Picture]) -> Table:
    """Return the tables, positive and negative bags of each set apart.

    Args:
        results: of the study.
        pictures: shown below the tables.
    """
    sets = results.workshop.settings.sets
    sections = [
        Section(f"{sets[name].title}: {kind} bags", f"{NOTES[kind]}{_froc_note(found, kind)}", _rows(found, kind))
        for name, found in results.found.items()
        for kind in ("positive", "negative")
        if found.bags[kind]
    ]
    refused = [
        f"{sets[name].title}, {method_title(method)}: {reason}"
        for name, found in results.found.items()
        for method, reason in found.refused.items()
    ]
    return Table(
        title="Explanations of bags",
        warning="Instance truth says where the evidence is, not what a network looks at: a faithful explanation of a "
        "network that is wrong is far from it.",
        reading=READING,
        facts=[_fact(results, name, found) for name, found in results.found.items()],
        sections=sections,
        left_out=[*results.missing, *refused],
        repeats="runs",
        pictures=pictures,
    )


def write_numbers(path: Path, results: ExplanationResults) -> Path:
    """Write one line for each number of each run.

    Args:
        path: CSV file with the columns set, kind, method, measure, run, value; of slides also ``froc_lesions`` and
            ``froc_slides``, which are of no method: what the FROC of the run is a share of.
        results: of the study.
    """
    records = [
        {"set": name, "kind": kind, "method": method, "measure": measure, "run": number + 1, "value": value}
        for name, found in results.found.items()
        for kind, methods in found.quality.items()
        for method, measures in methods.items()
        for measure, entry in measures.items()
        for number, value in enumerate(entry["runs"])
    ]
    records += [
        {"set": name, "kind": "positive", "method": "", "measure": measure, "run": number + 1, "value": count}
        for name, found in results.found.items()
        if found.froc is not None
        for number, counts in enumerate(found.froc.tolist())
        for measure, count in zip(("froc_lesions", "froc_slides"), counts, strict=True)
    ]
    columns = ["set", "kind", "method", "measure", "run", "value"]
    with atomic_path(path) as temporary:
        pd.DataFrame.from_records(records, columns=columns).to_csv(temporary, index=False)
    return path


def _froc_note(found: FoundSet, kind: str) -> str:
    """Say what the lesion FROC is a share of."""
    if found.froc is None or kind != "positive":
        return ""
    lesions, slides = (" + ".join(map(str, column)) for column in found.froc.T.tolist())
    return (
        f" Lesion FROC: of {found.froc[:, 0].sum()} lesions that are no isolated tumour cells ({lesions} in the runs) "
        f"on {found.froc[:, 1].sum()} slides with and without tumour ({slides})."
    )


def _rows(found: FoundSet, kind: str) -> list[Row]:
    rows = []
    for place, method in enumerate(found.methods):
        cells: dict[str, Cell] = {}
        for measure, heading in MEASURES[kind].items():
            estimate = found.estimate(kind, method, measure)
            if estimate is not None:
                cells[heading] = estimate
        if kind == "positive" and method != CONTROL:
            cells["ms a bag"] = f"{found.milliseconds[place]:.3g}"
        rows.append(Row({"method": method_title(method)}, cells))
    return rows


def _fact(results: ExplanationResults, name: str, found: FoundSet) -> str:
    explained = results.workshop.settings.sets[name]
    title = explained.settings.models[explained.model]["title"]
    return (
        f"{explained.title}: {title}, {len(found.accuracy)} training runs, accuracy on all held-out bags "
        f"{found.accuracy.mean():.3f} (least {found.accuracy.min():.3f}); {found.bags['positive']} bags with and "
        f"{found.bags['negative']} without evidence explained; {found.seconds / 60:.0f} minutes of one worker; "
        f"sha256 of the data {results.workshop.sha256[name][:16]}…"
    )
