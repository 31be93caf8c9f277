"""The page of `s2st report` in a headless Chromium, driven through chromedriver (W3C WebDriver)."""

import base64
import io
import math
import re

import pytest
from PIL import Image
from webdriver import CHROMIUM, DRIVER, running_browser

from s2st.analysis.html_page import render_page
from s2st.analysis.report_document import (
    Column,
    Commands,
    Figure,
    Interval,
    Marked,
    Report,
    Sample,
    Samples,
    Section,
    Table,
)

pytestmark = [
    pytest.mark.extensive,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with its chromedriver"),
]
ATTACK = '<script>window.harm = 1</script><img src="x" onerror="window.harm = 2">\'"--></style>'
# black by day, white by night; what it would run must not run in an <img>
SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40" onload="top.harm = 3">
<style>rect { fill: #000 } @media (prefers-color-scheme: dark) { rect { fill: #fff } }</style>
<script>top.harm = 4; fetch("http://127.0.0.1:9/")</script><rect width="40" height="40"/>
<image href="http://127.0.0.1:9/x.png" width="1" height="1"/></svg>"""
LONG = " ".join(["an unbearably long sentence about", "w" * 60] * 8)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with running_browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    columns = (Column("system"), Column("beam 1", True, 1), Column("beam 12", True), Column("is"))
    rows = (
        ("b RNN", Interval(9.5, 9.0, 10.0), None, Marked("held", "good")),
        ("a LSTM", Interval(31.2, 30.1, 32.4), 1000.0, Marked("not held", "bad")),
        ("10 LSTMs", None, -2.5, Marked("not significant", "unsure")),
        ("9 LSTMs", Interval(100.0, 99.0, 101.0), 7.0, None),
        ("d of a single long word " + "w" * 50, 12.0, None, ATTACK),
    )
    wide = Table("wide", tuple(Column(f"column {i}") for i in range(30)), (("word",) * 30,))
    items = (
        Table(f"Table 1 {ATTACK}", columns, rows),
        wide,
        Figure("Lengths", f"falls {ATTACK}", "image/svg+xml", SVG),
        Samples("Long", ("source", "reference"), (Sample(ATTACK, (LONG, ATTACK)),)),
        Commands("How", ("s2st train " + "w" * 200, ATTACK)),
    )
    sections = (Section("First", (LONG,), items), Section(ATTACK, (), ()), Section("Third", (), ()))
    report = Report(f"A study {ATTACK}", LONG, (("command", "w" * 300),), sections)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(render_page(report))
    return path


COLUMN = (
    "return [...document.querySelector('table').tBodies[0].rows]"
    ".map(row => row.cells[arguments[0]].textContent.trim())"
)


def test_it_opens_in_silence_and_runs_nothing_of_the_report(browser, page):
    browser.open(page)
    title = browser.evaluate("return document.title")
    assert title == f"A study {ATTACK}"
    assert browser.evaluate("return document.querySelectorAll('table').length") == 2
    assert browser.evaluate("return document.querySelector('img').naturalWidth") == 40
    names = browser.evaluate(COLUMN, 0)
    assert [name[:8] for name in names] == ["b RNN", "a LSTM", "10 LSTMs", "9 LSTMs", "d of a s"]
    assert browser.evaluate("return window.harm === undefined")
    requests = "return performance.getEntriesByType('resource').map(e => e.name.slice(0, 5))"
    assert set(browser.evaluate(requests)) <= {"data:"}
    assert browser.call("POST", "/se/log", {"type": "browser"}) == []
    # the silence means something: what the page's policy forbids would be told
    browser.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://[::1]:9'}))")
    (said,) = browser.call("POST", "/se/log", {"type": "browser"})
    assert "Content Security Policy" in said["message"]


CLICK = "document.querySelectorAll('thead button')[arguments[0]].click()"
SORTED = (
    "return [...document.querySelector('thead tr').cells]"
    ".map(head => head.getAttribute('aria-sort'))"
)


def test_heads_sort_numbers_as_numbers_with_empty_cells_last(browser, page):
    browser.open(page)
    at_first = browser.evaluate(COLUMN, 1)
    browser.evaluate(CLICK, 1)
    up = ["9.5 [9.0, 10.0]", "12.0", "31.2 [30.1, 32.4]", "100.0 [99.0, 101.0]", ""]
    assert browser.evaluate(COLUMN, 1) == up
    assert browser.evaluate(SORTED) == [None, "ascending", None, None]
    browser.evaluate(CLICK, 1)
    assert browser.evaluate(COLUMN, 1) == [*up[3::-1], ""]
    assert browser.evaluate(SORTED) == [None, "descending", None, None]
    browser.evaluate(CLICK, 2)
    assert browser.evaluate(COLUMN, 2) == ["\u22122.50", "7.00", "1,000.00", "", ""]
    assert browser.evaluate(SORTED) == [None, None, "ascending", None]
    browser.evaluate(CLICK, 0)
    names = [name.split()[0] for name in browser.evaluate(COLUMN, 0)]
    assert names == ["9", "10", "a", "b", "d"]
    browser.evaluate(CLICK, 0)
    browser.evaluate(CLICK, 0)
    assert browser.evaluate(COLUMN, 1) == at_first
    assert browser.evaluate(SORTED) == [None] * 4


def test_heads_are_reached_and_pressed_by_keyboard(browser, page):
    browser.open(page)
    browser.evaluate("document.querySelectorAll('thead button')[0].focus()")
    browser.press("\ue004")  # Tab
    browser.press("\ue007")  # Enter
    assert browser.evaluate(SORTED) == [None, "ascending", None, None]
    browser.press(" ")
    assert browser.evaluate(SORTED) == [None, "descending", None, None]


GROUND = "return getComputedStyle(document.body).backgroundColor"
MIDDLE = """
const image = document.querySelector("img");
image.scrollIntoView();
const box = image.getBoundingClientRect();
return [box.x + box.width / 2, box.y + box.height / 2];
"""


def brightness(browser):
    """Of the figure's middle as the screen shows it, 0 to 255."""
    x, y = browser.evaluate(MIDDLE)
    shot = base64.b64decode(browser.command("Page.captureScreenshot", format="png")["data"])
    return Image.open(io.BytesIO(shot)).convert("L").getpixel((round(x), round(y)))


def test_dark_mode_reaches_the_page_and_its_figures(browser, page):
    browser.open(page)
    assert sum(map(int, re.findall(r"\d+", browser.evaluate(GROUND)))) > 3 * 240
    assert brightness(browser) == 0
    browser.mode("dark")
    assert sum(map(int, re.findall(r"\d+", browser.evaluate(GROUND)))) < 3 * 40
    assert brightness(browser) == 255
    browser.mode("light", media="print")
    shown = "return getComputedStyle(document.querySelector('nav')).display"
    assert browser.evaluate(shown) == "none"


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_the_page_is_never_wider_than_the_window(browser, page, width):
    browser.open(page)
    browser.resize(width, 700)
    browser.call("POST", "/refresh", {})
    assert browser.evaluate("return innerWidth") == width
    assert browser.evaluate("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_the_best_value_of_a_training_at_once(browser, tmp_path, width):
    """Without scrolling a table sideways: the lead, the mark of the best row, and its value."""
    from trainers import trainer

    from s2st.analysis.training_report import report_training

    state = trainer(tmp_path / "run", max_epoch=3.0).train()
    path = tmp_path / "page.html"
    path.write_bytes(render_page(report_training(tmp_path / "run")))
    browser.open(path)
    browser.resize(width, 800)
    value = f"{math.exp(state.best_nll):.2f}"
    found = browser.evaluate(
        "const mark = document.querySelector('.mark.good');"
        "const row = mark.closest('tr'), box = mark.getBoundingClientRect();"
        "return [document.querySelector('.lead').textContent, row.cells[1].textContent.trim(),"
        " box.left >= 0 && box.right <= mark.closest('.scroll').getBoundingClientRect().right]"
    )
    assert value in found[0]
    assert found[1:] == [value, True]
