"""The bundle that a command line names: by its name, or by its folder where the command takes one."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.commands.bundle_parser import BundleArgument, bundle_parser


@pytest.fixture
def bundles(tmp_path):
    """A repository with two bundles that can be exported and one that cannot, and a bundle that lies elsewhere."""
    for name, config in (
        ("repository/bundles/second", "export.json"),
        ("repository/bundles/first", "export.json"),
        ("repository/bundles/third", "train.json"),
        ("elsewhere", "export.json"),
    ):
        (tmp_path / name / "configs").mkdir(parents=True)
        (tmp_path / name / "configs" / config).write_text("{}")
    return tmp_path / "repository"


def parse(bundles, *arguments, **options):
    parser = bundle_parser("export.py", BundleArgument(bundles, "export.json", **options), "Export.", "line\n  line")
    parser.add_argument("--output")
    return parser.parse_known_args(arguments)


def test_a_name_becomes_the_folder_and_what_is_unknown_is_left(bundles):
    known, rest = parse(bundles, "first", "--outp", "x", "--output", "y", "--segmentation#radius=3")
    assert known.bundle == bundles / "bundles" / "first"
    assert known.output == "y"
    assert rest == ["--outp", "x", "--segmentation#radius=3"]


def test_a_folder_elsewhere_becomes_absolute_and_a_name_comes_first(bundles, monkeypatch):
    monkeypatch.chdir(bundles.parent)
    (bundles.parent / "elsewhere").rename("first")
    assert parse(bundles, "first")[0].bundle == bundles / "bundles" / "first"
    assert parse(bundles, str(Path("first") / ".." / "first"))[0].bundle == bundles.parent / "first"


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ("fourth", {}, "unknown bundle 'fourth'; known are: first, second"),
        ("third", {}, "unknown bundle 'third'; known are: first, second"),
        ("elsewhere", {"elsewhere": False}, "unknown bundle 'elsewhere'; known are: first, second"),
        ("repository", {}, "repository has no configs/export.json; known are: first, second"),
    ],
)
def test_what_is_no_such_bundle_is_refused_with_those_that_are(bundles, monkeypatch, capsys, given, options, said):
    monkeypatch.chdir(bundles.parent)
    with pytest.raises(SystemExit) as ended:
        parse(bundles, given, **options)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("elsewhere", [True, False])
def test_help_names_the_bundles_and_keeps_its_lines(bundles, capsys, elsewhere):
    with pytest.raises(SystemExit):
        parse(bundles, "--help", elsewhere=elsewhere)
    said = capsys.readouterr().out
    assert "one of: first, second" in said
    assert ("or a bundle's folder" in said) == elsewhere
    assert "line\n  line" in said
