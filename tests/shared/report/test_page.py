"""The page as HTML: accessible, offline, small, and nothing from a file is markup."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections import Counter

from shared.report.build import build_report
from tests.shared.report.edited_files import edited
from tests.shared.report.html_page import Page

HOSTILE = "<script>alert('x')</script>\"&{{7*7}}"


def test_structure_is_accessible(page):
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(headings))
    assert all(cell.get("scope") in ("col", "row", "rowgroup") for cell in page.tags("th"))
    assert len(page.tags("caption")) == len(page.tags("table"))
    drawings = [drawing for drawing in page.tags("svg") if drawing.get("aria-hidden") != "true"]
    assert all(drawing.get("role") == "img" and drawing.get("aria-label") for drawing in drawings)
    ids = Counter(attributes["id"] for _, attributes in page.elements if attributes.get("id"))
    assert ids.most_common(1)[0][1] == 1
    targets = {link["href"] for link in page.tags("a")}
    assert targets <= {f"#{name}" for name in ids}
    assert page.tags("html")[0]["lang"] == "en"


def test_page_is_offline_and_light_and_names_the_hash_of_its_one_script(page, html):
    data, script = re.findall("<script[^>]*>(.*?)</script>", html, re.DOTALL)
    assert [tag.get("type") for tag in page.tags("script")] == ["application/json", None]
    assert set(json.loads(data)) >= {"results", "calibration", "curves", "interpretability"}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (tag["content"] for tag in page.tags("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not page.tags("link")
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
        assert not [name for name in attributes if name.startswith("on")]
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert len(html) < 3_000_000


def test_hostile_names_are_text(tmp_path, write_files):
    names = [HOSTILE, "lymphocyte", "$\\frac{", "</style><b>"]
    eval_dir = write_files.single(tmp_path / "a<i>b", classes=names, kinds=[f"{HOSTILE} kind"], n=80, cases=2)
    metadata = tmp_path / "a<i>b" / "configs" / "metadata.json"
    metadata.write_text(json.dumps({"name": HOSTILE, "intended_use": HOSTILE, "limits": [HOSTILE]}))
    index_file = eval_dir / "explanations" / "index.json"
    index = json.loads(index_file.read_text())
    index["samples"][0]["id"] = f"{HOSTILE}/x"
    index["samples"][0]["methods"][HOSTILE] = {"quality": {HOSTILE: 0.5}}
    index["methods"][HOSTILE] = {"parameters": {HOSTILE: HOSTILE}, "quality": {HOSTILE: 0.5}}
    index_file.write_text(json.dumps(index))
    page = Page(build_report(eval_dir).read_text(encoding="utf-8"))
    assert len(page.tags("script")) == 2
    assert not page.tags("b")
    assert not page.tags("i")
    assert page.text.count(HOSTILE) > 10
    assert f"{HOSTILE}: evaluation report" in page.text


def test_back_ticks_of_the_metadata_are_code(four_classes, tmp_path):
    limits = ["Run `python -m x <y>` first."]
    eval_dir = edited(four_classes, tmp_path, "configs/metadata.json", lambda c: c.update(limits=limits))
    assert "<li>Run <code>python -m x &lt;y&gt;</code> first.</li>" in build_report(eval_dir).read_text("utf-8")
