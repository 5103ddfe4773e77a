"""TRIPOD+AI: what a report of a prediction model has to say (Collins et al., BMJ 385 (2024) e078378).

Numbers and order of the 27 items with their 52 parts are those of the statement; the words are our own.
"""

from __future__ import annotations

from shared.report.card import answers as say
from shared.report.card.checklist import Checklist, Item

__all__ = ["TRIPOD_AI"]

TRIPOD_AI = Checklist(
    "TRIPOD+AI checklist",
    "Collins et al., TRIPOD+AI statement, BMJ 385 (2024) e078378, doi:10.1136/bmj-2023-078378",
    (
        Item("1", "Title", "study type, population and outcome named in the title", say.task),
        Item("2", "Abstract", "structured abstract"),
        Item("3a", "Background", "context in health care, reason for the model, earlier models", say.references),
        Item("3b", "Background", "target population, intended purpose and users", say.intended_use),
        Item("3c", "Background", "known health inequalities between groups"),
        Item("4", "Objectives", "development, evaluation or both"),
        Item("5a", "Data", "sources of data, and how representative they are", say.data_source),
        Item("5b", "Data", "dates of collection"),
        Item("6a", "Participants", "setting, number and place of centres"),
        Item("6b", "Participants", "eligibility criteria"),
        Item("6c", "Participants", "treatments received"),
        Item("7", "Data preparation", "preprocessing and quality checks", say.input_data),
        Item("8a", "Outcome", "definition of the outcome, and when and how it was assessed", say.outcome),
        Item("8b", "Outcome", "qualification of who assessed it, where that takes judgement"),
        Item("8c", "Outcome", "blinding of the assessment"),
        Item("9a", "Predictors", "choice of the initial predictors", say.input_data),
        Item("9b", "Predictors", "definition of the predictors, and when and how they were measured"),
        Item("9c", "Predictors", "qualification of who assessed them, where that takes judgement"),
        Item("10", "Sample size", "how the sample size came about", say.evaluated_data),
        Item("11", "Missing data", "how missing data were handled"),
        Item("12a", "Analysis", "how data were divided between development and evaluation", say.partitions),
        Item("12b", "Analysis", "how predictors enter the model", say.input_data),
        Item("12c", "Analysis", "type of model, and the steps of building it", say.method_of_model),
        Item("12d", "Analysis", "differences between clusters (centres, countries)"),
        Item("12e", "Analysis", "measures of performance", say.interval_method, whole=True),
        Item("12f", "Analysis", "updating of the model, such as recalibration", say.calibration_fitted, whole=True),
        Item("12g", "Analysis", "how predictions were computed when the model was evaluated", say.code, whole=True),
        Item("13", "Class imbalance", "methods against it, and recalibration after them", say.labels),
        Item("14", "Fairness", "approaches to fairness between groups", say.fairness),
        Item("15", "Model output", "what the model gives, classes and thresholds", say.outputs, whole=True),
        Item("16", "Training and evaluation", "differences between development and evaluation data"),
        Item("17", "Ethical approval", "approval and consent"),
        Item("18a", "Open science", "funding"),
        Item("18b", "Open science", "conflicts of interest"),
        Item("18c", "Open science", "study protocol"),
        Item("18d", "Open science", "registration"),
        Item("18e", "Open science", "availability of the data"),
        Item("18f", "Open science", "availability of the code", say.code),
        Item("19", "Patients and public", "their involvement"),
        Item("20a", "Participants", "flow of participants, with and without the outcome", say.labels),
        Item("20b", "Participants", "characteristics of the participants"),
        Item("20c", "Participants", "comparison of evaluation and development data"),
        Item("21", "Model development", "participants and outcome events in each analysis", say.labels),
        Item("22", "Model specification", "all that is needed for predictions", say.model_specification),
        Item("23a", "Model performance", "estimates with intervals, for subgroups too", say.accuracy, whole=True),
        Item("23b", "Model performance", "differences between clusters, subgroups", say.subgroup_results, whole=True),
        Item("24", "Model updating", "results of updating", say.calibration_fitted, whole=True),
        Item("25", "Interpretation", "overall interpretation, fairness included"),
        Item("26", "Limitations", "limitations and their consequences", say.limits, whole=True),
        Item("27a", "Usability", "input of poor quality or not available", say.poor_input),
        Item("27b", "Usability", "whether users interact, and what expertise they need"),
        Item("27c", "Usability", "next steps of research, applicability elsewhere"),
    ),
)
