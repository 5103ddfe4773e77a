"""Names from outside: plain ones pass, everything that could climb, hide or confuse is refused."""

from __future__ import annotations

import uuid

import pytest

HOSTILE = [
    "", ".", "..", "../x", "a/../b", "/etc/passwd", "a/b", "a\\b", "..\\x", ".hidden", "C:\\x", "a\0b", "a\nb", "a..b",
    "$(id)", "`id`", "a;b", "a|b", "@root", "%2e%2e", "a#b", "a?b", "a*b", "<b>", "'", '"', "~root", "-rf", "x" * 151,
    "a.", "a ",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_image_names_are_refused(lib, name):
    with pytest.raises(lib("errors").RequestError) as refused:
        lib("names").check_image_id(name)
    assert refused.value.status == 400


@pytest.mark.parametrize("name", ["cell1", "P1 left (2).png", "1.2.840.113619.2", "smear_7-b", "größe", "a=b+c,d"])
def test_usual_image_names_pass(lib, name):
    assert lib("names").check_image_id(name) == name


@pytest.mark.parametrize("name", [*HOSTILE, "a b", "ä"])
def test_hostile_tags_are_refused(lib, name):
    with pytest.raises(lib("errors").RequestError):
        lib("names").check_tag(name)


def test_usual_tags_pass(lib):
    assert [lib("names").check_tag(tag) for tag in ("final", "original", "v2_a-b")] == ["final", "original", "v2_a-b"]


@pytest.mark.parametrize("name", [*HOSTILE, "1234", str(uuid.UUID(int=5)).upper(), "{" + str(uuid.UUID(int=5)) + "}"])
def test_only_the_servers_own_sessions_are_looked_for(lib, name):
    if name == str(uuid.UUID(int=5)).upper() == str(uuid.UUID(int=5)):
        return  # all digits: capitals are the same
    with pytest.raises(lib("errors").RequestError):
        lib("names").check_session_id(name)


def test_a_session(lib):
    name = str(uuid.UUID(int=0xABCDEF))
    assert lib("names").check_session_id(name) == name


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("cell.PNG", ".png"), ("/home/user/cell.png", ".png"), ("C:\\films\\a.b.png", ".png"), ("größe 2.png", ".png")],
)
def test_of_a_file_name_only_the_suffix_counts(lib, name, suffix):
    assert lib("names").file_suffix(name, [".png", ".npy"]) == suffix


@pytest.mark.parametrize(
    "name", [None, "", "../a.png", "x/../a.png", "..\\a.png", ".png", "a/.png", "a\0.png", "a\n.png"]
)
def test_file_names_that_climb_or_hide_are_refused(lib, name):
    with pytest.raises(lib("errors").RequestError) as refused:
        lib("names").file_suffix(name, [".png"])
    assert refused.value.status == 400


@pytest.mark.parametrize("name", ["a", "a.exe", "a.png.sh", "a.py", "a.png "])
def test_other_kinds_of_file_are_refused(lib, name):
    with pytest.raises(lib("errors").RequestError, match=r"expected one of \.png") as refused:
        lib("names").file_suffix(name, [".png"])
    assert refused.value.status == 415
