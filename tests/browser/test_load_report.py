"""The page of a load test in a real browser that has no network."""

import shutil
from collections.abc import Iterator

import pytest
from load_reports import HOSTILE, report_of
from selenium import webdriver
from selenium.webdriver.common.by import By

from convergegate_async.load.report.charts import has_charts
from convergegate_async.load.report.files import write_report

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        None in (CHROMIUM, DRIVER),
        reason="needs Debian's packages chromium and chromium-driver",
    ),
    pytest.mark.skipif(not has_charts(), reason="needs the extra charts"),
]

SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1200,900"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 30, 38)"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own, which finds no other machine."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
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
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
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
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert width - 20 < wide <= width


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
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_the_page_prints(browser: webdriver.Chrome, page: str) -> None:
    """On a few sheets, though the screen is dark."""
    show(browser, page, scheme="dark", width=1_280)

    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})

    assert str(printed["data"]).startswith("JVBERi0")  # %PDF-
