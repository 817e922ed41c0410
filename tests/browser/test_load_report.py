"""The page of a load test in a real browser that has no network."""

from collections.abc import Iterator

import browsing
import pytest
from axe_selenium_python import Axe
from browsing import browser_needed, complaints, hidden_width, look_like
from load_reports import HOSTILE, report_of
from selenium import webdriver
from selenium.webdriver.common.by import By

from convergegate_async.load.report.charts import has_charts
from convergegate_async.load.report.files import write_report

pytestmark = [
    *browser_needed,
    pytest.mark.skipif(not has_charts(), reason="needs the extra charts"),
]

PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 30, 38)"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own, which finds no other machine."""
    profile = tmp_path_factory.mktemp("profile")
    driver = browsing.start(profile, hosts="MAP * ~NOTFOUND")
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page, whose errors said what no page should do."""
    path = tmp_path_factory.mktemp("report") / "run.html"
    report = report_of(
        12, 30, errors=0.2, freezes=0.1, example=HOSTILE, thresholds=["p99<1us"]
    )
    write_report(report, path)
    return path.as_uri()


def show(browser: webdriver.Chrome, page: str, *, scheme: str, width: int) -> None:
    """Open a page on a screen so wide, by light or in the dark."""
    look_like(browser, scheme=scheme, width=width)
    browser.get(page)


@pytest.mark.parametrize("scheme", PAPER)
@pytest.mark.parametrize("width", [375, 1_280])
def test_verdict_and_pictures_are_seen(
    browser: webdriver.Chrome, page: str, scheme: str, width: int
) -> None:
    """On a telephone and on a desk, by light and in the dark, nothing sticks out."""
    show(browser, page, scheme=scheme, width=width)

    heading = browser.find_element(By.TAG_NAME, "h1")
    assert "FAILED exit code 99" in " ".join(heading.text.split())
    assert heading.location["y"] < 200
    pictures = browser.find_elements(By.TAG_NAME, "svg")
    seen = [picture for picture in pictures if picture.is_displayed()]
    assert (len(pictures), len(seen)) == (12, 6)
    assert all(picture.size["height"] > 100 for picture in seen)
    paper = browser.find_element(By.TAG_NAME, "section")
    assert paper.value_of_css_property("background-color").startswith(
        PAPER[scheme].replace("rgb", "rgba").removesuffix(")")
    )
    assert hidden_width(browser) == 0


@pytest.mark.parametrize("scheme", PAPER)
def test_axe_finds_nothing(browser: webdriver.Chrome, page: str, scheme: str) -> None:
    """The page keeps nothing from anybody, as far as a program can tell."""
    show(browser, page, scheme=scheme, width=1_280)
    axe = Axe(browser)
    axe.inject()

    found = axe.run()["violations"]

    assert found == [], axe.report(found)


def test_lines_have_the_colours_of_the_scheme(
    browser: webdriver.Chrome, page: str
) -> None:
    """One drawing serves both: its colours are the page's."""
    strokes = []
    for scheme in PAPER:
        show(browser, page, scheme=scheme, width=1_280)
        line = browser.find_element(By.CSS_SELECTOR, "figure path[stroke*='--p99']")
        strokes.append(line.value_of_css_property("stroke"))

    assert strokes == ["rgb(207, 74, 18)", "rgb(255, 154, 92)"]


def test_what_errors_said_does_nothing(browser: webdriver.Chrome, page: str) -> None:
    """It is shown, no element is made of it, and the browser has no complaint."""
    show(browser, page, scheme="light", width=1_280)

    assert browser.find_elements(By.TAG_NAME, "img") == []
    assert (
        "<img src=x onerror=alert(1)>"
        in browser.find_element(By.CLASS_NAME, "errors").text
    )
    assert complaints(browser) == []


def test_the_page_prints(browser: webdriver.Chrome, page: str) -> None:
    """On a few sheets, though the screen is dark."""
    show(browser, page, scheme="dark", width=1_280)

    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})

    assert str(printed["data"]).startswith("JVBERi0")  # %PDF-
