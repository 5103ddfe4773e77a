"""The page in a real browser: its controls work, nothing is asked of the network, hostile names are text."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.report.build import build_report
from tests.shared.report.element_files import METHODS, write_rows
from tests.shared.report.layered_files import add_layers

playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
#: milliseconds: a machine may be busy with other tests
PATIENCE = 120_000
HOSTILE = "<img src=x onerror=\"document.title='run'\">"


@pytest.fixture(scope="module")
def report(tmp_path_factory, four_classes):
    """The page of a bundle with layers, rows of interpretability, and a method and a sample of hostile names."""
    eval_dir = tmp_path_factory.mktemp("bundles") / "leukocyte_qpi" / "eval"
    shutil.copytree(four_classes.parent, eval_dir.parent, dirs_exist_ok=True)
    methods = {"lime": METHODS["lime"], "guided_backpropagation": METHODS["guided_backpropagation"]}
    write_rows(eval_dir, methods={**METHODS, **methods})
    index = add_layers(eval_dir, other=HOSTILE) / "explanations" / "index.json"
    content = json.loads(index.read_text())
    content["samples"][1]["id"] = HOSTILE
    content["methods"]["lime"]["title"] = f"LIME {HOSTILE}"
    index.write_text(json.dumps(content))
    return build_report(eval_dir)


class Opened:
    """A page with everything that it complained about or asked for."""

    def __init__(self, page, address: str) -> None:
        self.page, self.complaints, self.requests = page, [], []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        self.viewer = page.locator("[data-viewer]").first

    def shown(self) -> str:
        """Caption of the first viewer."""
        return self.viewer.locator("[data-caption]").inner_text()

    def layer(self, attribute: str) -> str | None:
        return self.viewer.locator(".layer").get_attribute(attribute)

    def opacity(self) -> float:
        return float(self.viewer.locator(".layer").evaluate("element => getComputedStyle(element).opacity"))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser) -> Iterator[Callable[..., Any]]:
    """Opens contexts with settings of their own, and closes them."""
    opened_contexts = []

    def open_context(**settings: Any) -> Any:
        opened_contexts.append(browser.new_context(reduced_motion="reduce", **settings))
        opened_contexts[-1].set_default_timeout(PATIENCE)
        return opened_contexts[-1]

    yield open_context
    for one in opened_contexts:
        one.close()


@pytest.fixture
def opened(context, report) -> Opened:
    """The page on a desktop."""
    return Opened(context(viewport={"width": 1200, "height": 900}).new_page(), report.as_uri())


def test_nothing_is_asked_for_and_nothing_complained_of(opened, report):
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [report.as_uri()]


def test_hostile_names_are_shown_and_never_run(opened):
    assert opened.page.title() == "Leukocytes in phase images: evaluation report"
    assert HOSTILE in opened.page.locator("#case-2-title").inner_text()
    opened.viewer.locator("[data-target]").select_option(HOSTILE)
    assert opened.shown().endswith(f"for {HOSTILE}")
    assert opened.page.locator("img[src=x]").count() == 0
    assert opened.page.title() == "Leukocytes in phase images: evaluation report"
    # what is not the page's own script is not run: the policy names the hash of that one alone
    opened.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert opened.page.evaluate("window.ran") is None


def test_the_method_is_chosen_with_its_scale_and_its_failed_check(opened):
    before = opened.layer("href")
    warning = opened.viewer.locator("[data-failed]")
    opened.viewer.locator("[data-method]").select_option("lime")
    assert opened.shown().startswith("LIME <img")
    assert not warning.is_visible()
    drawn = opened.layer("href")
    assert drawn != before
    assert opened.page.locator(f"symbol{drawn}").count() == 1
    low, high = (opened.viewer.locator(f"[data-{end}]").inner_text() for end in ("low", "high"))
    assert (low[0], high[0]) == ("\u2212", "+")
    assert low[1:] == high[1:]
    opened.viewer.locator("[data-method]").select_option("guided_backpropagation")
    assert warning.is_visible()
    assert "likeness 0.97 is not below 0.5" in warning.inner_text()


def test_a_class_that_a_method_was_not_asked_for_shows_no_map(opened):
    opened.viewer.locator("[data-target]").select_option(HOSTILE)
    assert opened.viewer.locator(".layer").is_visible()
    opened.viewer.locator("[data-method]").select_option("grad_cam_plus_plus")
    assert not opened.viewer.locator(".layer").is_visible()
    assert opened.viewer.locator("[data-none]").is_visible()


def test_the_slider_fades_the_map_by_keyboard(opened):
    slider = opened.viewer.locator("[data-opacity]")
    assert opened.opacity() == 1.0
    slider.focus()
    for _ in range(4):
        opened.page.keyboard.press("ArrowLeft")
    assert math.isclose(opened.opacity(), 0.8)
    assert opened.viewer.locator("[data-share]").inner_text() == "80\u202f%"
    opened.page.keyboard.press("Home")
    assert opened.opacity() == 0.0
    # another case keeps its own
    other = opened.page.locator("[data-viewer]").nth(1).locator(".layer")
    assert other.evaluate("element => getComputedStyle(element).opacity") == "1"


def test_the_outline_is_switched_by_keyboard(opened):
    outline = opened.viewer.locator("use.outline")
    assert outline.is_visible()
    opened.viewer.locator("input[data-outline]").focus()
    opened.page.keyboard.press("Space")
    assert not outline.is_visible()
    assert opened.viewer.locator("rect.box").evaluate("element => getComputedStyle(element).display") == "none"


def test_tables_are_saved_as_csv_and_json(opened, four_classes):
    rows = {}
    for kind in ("csv", "json"):
        with opened.page.expect_download() as waiting:
            opened.page.locator(f"button[data-dataset=results][data-format={kind}]").first.click()
        assert waiting.value.suggested_filename == f"leukocyte_qpi_results.{kind}"
        text = waiting.value.path().read_text("utf-8")
        rows[kind] = list(csv.DictReader(io.StringIO(text))) if kind == "csv" else json.loads(text)["rows"]
    measured = json.loads((four_classes / "metrics.json").read_text())["metrics"]
    for kind in rows:
        found = {row["measure"]: row for row in rows[kind]}
        assert set(measured) <= set(found)
        assert float(found["accuracy"]["value"]) == pytest.approx(measured["accuracy"]["value"], rel=1e-6)
        assert float(found["accuracy"]["low"]) == pytest.approx(measured["accuracy"]["ci95"][0], rel=1e-6)
    assert opened.complaints == []


def test_without_a_script_all_maps_are_there_and_no_control(context, report, four_classes):
    page = context(java_script_enabled=False).new_page()
    page.goto(report.as_uri())
    assert page.locator("[data-controls]").first.is_hidden()
    assert page.locator("[data-downloads]").first.is_hidden()
    methods = len(json.loads((four_classes / "explanations" / "index.json").read_text())["methods"])
    # the other class is one more
    assert page.locator("#case-1 .small-maps figure").count() == methods + 1
    assert page.locator("#case-1 .viewer .layer").first.is_visible()


def test_a_phone_needs_no_sideways_scrolling(context, report):
    page = context(viewport={"width": 390, "height": 800}).new_page()
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_every_reader_is_reached_by_keyboard(opened):
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for part in ("clinician", "researcher", "auditor"):
        page.locator(f"nav.bar a[href='#{part}']").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == f"#{part}"
        playwright.expect(page.locator(f"#{part}-title")).to_be_in_viewport(timeout=PATIENCE)
