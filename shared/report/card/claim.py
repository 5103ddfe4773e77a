"""CLAIM: what a study of artificial intelligence in medical imaging has to say (Mongan et al. 2020).

The numbers are those of the checklist of 2020 with its 42 items; the update of 2024 has other numbers.
"""

from __future__ import annotations

from shared.report.card import answers as say
from shared.report.card.checklist import Checklist, Item

__all__ = ["CLAIM"]

CLAIM = Checklist(
    "CLAIM checklist",
    "Mongan, Moy and Kahn, Checklist for Artificial Intelligence in Medical Imaging (CLAIM), Radiology: Artificial "
    "Intelligence 2 (2020) e200029, doi:10.1148/ryai.2020200029 (42 items; the update of 2024 numbers them otherwise)",
    (
        Item("1", "Title, abstract", "a study of AI, and of which kind", say.method_of_model),
        Item("2", "Title, abstract", "structured summary"),
        Item("3", "Introduction", "background, intended use and clinical role", say.intended_use),
        Item("4", "Introduction", "objectives and hypotheses"),
        Item("5", "Study design", "prospective or retrospective"),
        Item("6", "Study design", "goal of the study"),
        Item("7", "Data", "sources", say.data_source),
        Item("8", "Data", "eligibility: how, where and when participants were found"),
        Item("9", "Data", "preprocessing", say.input_data),
        Item("10", "Data", "selection of subsets"),
        Item("11", "Data", "definitions of data elements", say.classes),
        Item("12", "Data", "de-identification"),
        Item("13", "Data", "missing data"),
        Item("14", "Ground truth", "definition of the reference standard", say.outcome),
        Item("15", "Ground truth", "reason for the choice"),
        Item("16", "Ground truth", "who annotated, with which qualification"),
        Item("17", "Ground truth", "annotation tools"),
        Item("18", "Ground truth", "variability between and within readers"),
        Item("19", "Partitions", "sample size and how it was determined", say.evaluated_data),
        Item("20", "Partitions", "how data were assigned to partitions"),
        Item("21", "Partitions", "level at which partitions are disjoint", say.partitions, whole=True),
        Item("22", "Model", "inputs, outputs and layers", say.network),
        Item("23", "Model", "software", say.software, whole=True),
        Item("24", "Model", "initial values of the parameters"),
        Item("25", "Training", "approach, augmentation, hyper-parameters"),
        Item("26", "Training", "selection of the final model"),
        Item("27", "Training", "ensembling"),
        Item("28", "Evaluation", "metrics", say.accuracy, whole=True),
        Item("29", "Evaluation", "significance and uncertainty", say.interval_method, whole=True),
        Item("30", "Evaluation", "robustness and sensitivity", say.subgroup_results),
        Item("31", "Evaluation", "methods of explanation, and how they were validated", say.explanations),
        Item("32", "Evaluation", "validation on external data"),
        Item("33", "Results: data", "flow of participants", say.labels),
        Item("34", "Results: data", "demographic and clinical characteristics of each partition"),
        Item("35", "Results: model", "performance of the final model on all partitions", say.accuracy),
        Item("36", "Results: model", "diagnostic accuracy with its precision", say.accuracy, whole=True),
        Item("37", "Results: model", "failure analysis of wrong cases"),
        Item("38", "Discussion", "limitations", say.limits, whole=True),
        Item("39", "Discussion", "implications for practice"),
        Item("40", "Other", "registration"),
        Item("41", "Other", "where the full protocol can be had"),
        Item("42", "Other", "funding"),
    ),
)
