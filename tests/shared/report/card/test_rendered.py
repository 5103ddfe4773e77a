"""Model card and checklists: what is known is filled in, what is not is open, and no text is markup."""

from __future__ import annotations

import shutil

import pytest

from shared.report.card.checklist import OPEN, checklist_markdown, filled_in
from shared.report.card.claim import CLAIM
from shared.report.card.content import card_content
from shared.report.card.model_card import model_card
from shared.report.card.tripod_ai import TRIPOD_AI
from shared.report.markdown import markdown_table
from shared.report.sources import read_sources
from tests.shared.report.edited_files import edited
from tests.shared.report.element_files import METHODS, element_rows, write_rows

CHECKLISTS = pytest.mark.parametrize("checklist", [TRIPOD_AI, CLAIM], ids=["tripod_ai", "claim"])
HOSTILE = "<script>alert(1)</script> | [x](javascript:alert(2)) *bold*"


@pytest.fixture(scope="module")
def card(four_classes, tmp_path_factory):
    bundle = tmp_path_factory.mktemp("card") / "leukocyte_qpi"
    shutil.copytree(four_classes.parent, bundle)
    return card_content(read_sources(write_rows(bundle / "eval")))


@pytest.fixture(scope="module")
def bare(four_classes, tmp_path_factory):
    """Of a folder with predictions alone."""
    folder = tmp_path_factory.mktemp("bare")
    shutil.copy(four_classes / "predictions.csv", folder)
    return card_content(read_sources(folder))


def test_items_are_those_of_the_sources():
    main = [item.number.rstrip("abcdefg") for item in TRIPOD_AI.items]
    assert list(dict.fromkeys(main)) == [str(number) for number in range(1, 28)]
    assert len(TRIPOD_AI.items) == len({item.number for item in TRIPOD_AI.items}) == 52
    # letters of TRIPOD+AI's items, as its table has them
    letters = {
        number: [i.number[-1] for i in TRIPOD_AI.items if i.number[:-1] == number] for number in ("12", "18", "23")
    }
    assert letters == {"12": list("abcdefg"), "18": list("abcdef"), "23": list("ab")}
    assert {item.number: item.name for item in CLAIM.items}["20"] == "level at which partitions are disjoint"
    assert [item.number for item in CLAIM.items] == [str(number) for number in range(1, 45)]


@CHECKLISTS
def test_every_item_has_a_row_and_the_counts_add_up(card, checklist):
    answers = filled_in(checklist, card)
    text = checklist_markdown(checklist, card)
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(answers)
    statuses = [status for status, _ in answers.values()]
    said = f"of {len(answers)} items {statuses.count('answered')} are answered, {statuses.count('in part')} in part, "
    assert f"{said}{statuses.count(OPEN)} are open" in text
    assert all(bool(answer) == (status != OPEN) for status, answer in answers.values())


def test_what_is_known_is_filled_in(card):
    tripod, claim = filled_in(TRIPOD_AI, card), filled_in(CLAIM, card)
    assert tripod["26"] == ("answered", "Not for diagnosis. Never measured on cells of children.")
    assert tripod["23a"][1].startswith("Macro F1 0.")
    assert "95 % interval" in tripod["23a"][1]
    assert claim["3"] == ("in part", "Research on label-free differential blood counts.")
    assert claim["22"][1].startswith("LeNet5, 61706 parameters.")
    assert "Failed a sanity check: Guided backpropagation." in claim["31"][1]
    assert claim["23"][1] == "monai 1.6.1, torch 2.13.0"


@CHECKLISTS
def test_what_no_file_says_is_open(bare, checklist):
    answers = filled_in(checklist, bare)
    for item in checklist.items:
        if item.answer is None or item.name in ("limitations", "sources"):
            assert answers[item.number] == (OPEN, "")
    funding = next(item for item in checklist.items if item.name.startswith("funding"))
    assert answers[funding.number] == (OPEN, "")


def test_the_model_card_has_results_elements_and_what_is_open(card):
    text = model_card(card)
    for part in (
        "# Leukocytes in phase images",
        "## What it is not for, and its limits\n\n- Not for diagnosis.",
        "| Macro F1 | 0.",
        "| Localisation AUC | LIME | high is good | 0.800 \\[0.700, 0.900\\], chance 0.500 | better |",
        "FAILED: Random logit: likeness 0.97 is not below 0.5.",
        "- Stability between trainings: no second model; name other_model_files",
        "- Reader study: no readers have been asked",
    ):
        assert part in text, part


FEW = {"by": "sample", "n": 40, "warning": "the samples are of 3 donors, too few to resample"}
NOT_TRUSTED = "These intervals are not to be trusted as they stand: the samples are of 3 donors, too few to resample."


def test_a_warning_of_intervals_stands_wherever_they_do(card, four_classes, tmp_path):
    assert "not to be trusted" not in model_card(card)
    write_rows(bundle := edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c.update(resampled=FEW)))
    warned = card_content(read_sources(bundle))
    text = model_card(warned)
    for title, begin in (("Results", "| measure"), ("Calibration", "| of"), ("Subgroups", "")):
        section = text.split(f"## {title}\n")[1].split("\n## ")[0]
        if begin in section and "| --- |" in section:
            assert section.index(NOT_TRUSTED) < section.index(begin), title
    assert NOT_TRUSTED in text.split("## Results\n")[1].split("\n## ")[0]
    assert NOT_TRUSTED not in text.split("## Interpretability\n")[1], "nothing is said of explaining"
    for checklist, numbers in ((TRIPOD_AI, ("12e", "23a")), (CLAIM, ("28", "29", "38"))):
        before, after = filled_in(checklist, card), filled_in(checklist, warned)
        for number in numbers:
            assert before[number][0] == "answered"
            assert after[number][0] == "in part"
            assert after[number][1].endswith(NOT_TRUSTED)


def test_a_warning_of_explaining_stands_at_the_elements(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "configs/metadata.json", lambda content: None)
    warned = card_content(read_sources(write_rows(eval_dir, resampled=FEW)))
    text = model_card(warned)
    assert NOT_TRUSTED in text.split("## Interpretability\n")[1].split("\n### ")[0]
    assert text.count(NOT_TRUSTED) == 1
    assert NOT_TRUSTED in filled_in(CLAIM, warned)["31"][1]


def test_a_control_that_fails_is_as_expected(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "configs/metadata.json", lambda content: None)
    control = METHODS["random_map"] | {"failed": ["Likeness 0.9 is not below 0.5."]}
    text = model_card(card_content(read_sources(write_rows(eval_dir, methods=METHODS | {"random_map": control}))))
    assert "Control, as expected: Likeness 0.9 is not below 0.5." in text
    assert "FAILED: Likeness 0.9" not in text
    assert "FAILED: Random logit" in text


def test_texts_from_files_are_no_markup(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "configs/metadata.json", lambda content: content.update(name=HOSTILE))
    methods = {name: entry | {"title": f"{HOSTILE} {name}"} for name, entry in METHODS.items()}
    write_rows(eval_dir, element_rows(), methods)
    card = card_content(read_sources(eval_dir))
    texts = [model_card(card), checklist_markdown(TRIPOD_AI, card), checklist_markdown(CLAIM, card)]
    markdown = pytest.importorskip("markdown", reason="renders the Markdown; it comes with tensorboard")
    for text in texts:
        html = markdown.markdown(text, extensions=["tables"])
        assert "alert(1)" in html
        assert "<script" not in html
        assert "javascript:" not in html.replace("](javascript:", "")
        assert "href" not in html


def test_rows_of_a_table_keep_their_cells():
    lines = markdown_table(("a", "b"), [("x|y", "one\ntwo")])
    assert lines[2] == "| x\\|y | one two |"
    with pytest.raises(ValueError, match="1 cells under a header of 2"):
        markdown_table(("a", "b"), [("x",)])
