"""CLAIM: what a study of artificial intelligence in medical imaging has to say, by its update of 2024 (Tejani et al.).

Numbers are those of the update with its 44 items; the checklist of 2020 (Mongan et al., doi:10.1148/ryai.2020200029)
has 42 and numbers many of them otherwise. The words are our own.
"""

from __future__ import annotations

from shared.report.card import answers as say
from shared.report.card.checklist import Checklist, Item

__all__ = ["CLAIM"]

CLAIM = Checklist(
    "CLAIM checklist",
    "Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update, Radiology: "
    "Artificial Intelligence 6 (2024) e240300, doi:10.1148/ryai.240300 (44 items)",
    (
        Item("1", "Title, abstract", "a study of AI, and of which kind", say.method_of_model),
        Item("2", "Title, abstract", "summary of design, methods, results and conclusions"),
        Item("3", "Introduction", "background, intended use and role", say.intended_use),
        Item("4", "Introduction", "aims, objectives and hypotheses"),
        Item("5", "Study design", "prospective or retrospective"),
        Item("6", "Study design", "goal of the study"),
        Item("7", "Data", "sources", say.data_source),
        Item("8", "Data", "who or what was included and excluded"),
        Item("9", "Data", "preprocessing", say.input_data),
        Item("10", "Data", "selection of subsets"),
        Item("11", "Data", "de-identification"),
        Item("12", "Data", "missing data"),
        Item("13", "Data", "protocol of image acquisition"),
        Item("14", "Reference standard", "how it was obtained", say.outcome),
        Item("15", "Reference standard", "reason for the choice"),
        Item("16", "Reference standard", "who annotated, with which qualification"),
        Item("17", "Reference standard", "annotation of the test set"),
        Item("18", "Reference standard", "variability between and within readers"),
        Item("19", "Partitions", "how data were assigned to partitions"),
        Item("20", "Partitions", "level at which partitions are disjoint", say.partitions, whole=True),
        Item("21", "Testing data", "intended sample size", say.evaluated_data),
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
        Item("32", "Evaluation", "evaluation on internal data", say.evaluated_data),
        Item("33", "Evaluation", "testing on external data"),
        Item("34", "Evaluation", "registration of a clinical trial"),
        Item("35", "Results: data", "numbers included and excluded", say.labels),
        Item("36", "Results: data", "demographic and clinical characteristics of each partition"),
        Item("37", "Results: model", "performance with its uncertainty", say.accuracy),
        Item("38", "Results: model", "diagnostic performance with its precision", say.accuracy, whole=True),
        Item("39", "Results: model", "failure analysis of wrong cases"),
        Item("40", "Discussion", "limitations", say.limits, whole=True),
        Item("41", "Discussion", "implications for practice"),
        Item("42", "Other", "where the full protocol or further technical detail can be had"),
        Item("43", "Other", "availability of software, trained model and data", say.code),
        Item("44", "Other", "funding and other support, role of the funders"),
    ),
)
