"""The page of `s2st serve` and the file of `s2st explain` in a headless Chromium."""

import os
import re
import subprocess
import sys
import time

import pytest
from made_once import made_once
from webdriver import CHROMIUM, DRIVER, running_browser

import s2st as library

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with its chromedriver"),
]
SENTENCE = "our old dog runs quickly ."
HOSTILE = (
    "the dog <script>window.harm=1</script> <img src=x onerror=window.harm=2> \u202e runs &lt; ."
)
MODELS = (("attending", "gru-attention"), ("reversed", "lstm-reversed"))
WIDTHS = (390, 1280)


def make_models(folder):
    library.write_demo_corpus(folder / "text", train_size=1000, valid_size=20, test_size=20)
    store = folder / "bin"
    library.preprocess(
        source_lang="en", target_lang="fr", trainpref=str(folder / "text" / "train"),
        validpref=str(folder / "text" / "valid"), destdir=store,
    )  # fmt: skip
    sizes = {"layers": 1, "hidden_size": 32, "embedding_size": 32, "batch_size": 16}
    for name, arch in MODELS:
        library.train(
            store, arch=arch, max_epoch=4, lr=0.01, optimizer="adam", threads=1,
            save_dir=folder / name, **sizes,
        )  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = made_once(tmp_path_factory, "shown", make_models)
    return [folder / name / "checkpoint_best" for name, _ in MODELS]


def command(name, models):
    first, second = map(str, models)
    words = ["--checkpoint", first, "--compare", second, "--threads", "1"]
    return [sys.executable, "-m", "s2st_cli", *name, *words]


@pytest.fixture(scope="module")
def address(models):
    words = command(["serve", "--port", "0"], models)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stderr)))
        yield found[0]
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stderr.close()
        process.wait(30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with running_browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


def wait_for(browser, script, *arguments):
    deadline = time.monotonic() + 30
    while not (value := browser.evaluate(script, *arguments)):
        assert time.monotonic() < deadline, script
        time.sleep(0.05)
    return value


READY = """
return document.querySelectorAll(".tree").length === document.querySelectorAll(".panel").length
  && !document.querySelector(".pending") && document.querySelector(".tree") !== null;
"""
TEXT = """
const field = document.querySelector("textarea");
field.value = arguments[0];
field.dispatchEvent(new Event("input"));
"""


def open_page(browser, address, width, mode="light"):
    browser.mode(mode)
    browser.resize(width, 900)
    browser.call("POST", "/url", {"url": address})


def type_in(browser, text):
    browser.evaluate(TEXT, text)
    time.sleep(0.4)  # the page waits for the next key
    wait_for(browser, READY)


def shown(browser):
    return browser.evaluate(
        "return [...document.querySelectorAll('.translation')].map(one => one.textContent)"
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_a_typed_sentence_is_translated_by_both_models(browser, address, models, width):
    open_page(browser, address, width)
    type_in(browser, SENTENCE)
    expected = [library.load(m, threads=1).translate([SENTENCE], beam=5)[0] for m in models]
    assert shown(browser) == expected
    # the model with attention has a map, the other one a path of its state
    assert browser.evaluate(
        "return [...document.querySelectorAll('.panel')].map(p =>"
        " [p.querySelectorAll('.map').length, p.querySelectorAll('.path').length])"
    ) == [[1, 0], [0, 1]]
    assert browser.evaluate("return document.documentElement.scrollWidth <= innerWidth")
    names = "return performance.getEntriesByType('resource').map(e => e.name)"
    assert all(name.startswith(address) for name in browser.evaluate(names))
    assert browser.call("POST", "/se/log", {"type": "browser"}) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_an_alternative_is_forced_and_released(browser, address, width):
    open_page(browser, address, width)
    type_in(browser, SENTENCE)
    free = shown(browser)
    browser.evaluate("document.querySelectorAll('.word')[0].click()")
    alternatives = "return [...document.querySelectorAll('.choices')[0].querySelectorAll('button')]"
    words = browser.evaluate(alternatives + ".map(one => one.textContent)")
    assert len(words) >= 3
    index = next(i for i, word in enumerate(words) if word != free[0].split()[0])
    browser.evaluate(alternatives + f"[{index}].click()")
    wait_for(browser, "return document.querySelector('.forced button') !== null")
    wait_for(browser, READY)
    forced = shown(browser)
    assert forced[0].split()[0] == words[index]
    assert forced[1] == free[1]  # the other model is as it was
    browser.evaluate("document.querySelector('.forced button').click()")
    wait_for(browser, "return document.querySelector('.forced button') === null")
    wait_for(browser, READY)
    assert shown(browser) == free


def test_the_beam_unfolds_and_holds_every_hypothesis(browser, address):
    open_page(browser, address, 1280)
    type_in(browser, SENTENCE)
    closed = browser.evaluate(
        "return document.querySelectorAll('.tree details:not([open])').length"
    )
    assert closed > 0
    browser.evaluate("document.querySelectorAll('.tools button')[0].click()")
    tree = "document.querySelectorAll('.tree')[0]"
    assert browser.evaluate(f"return {tree}.querySelectorAll('details:not([open])').length") == 0
    ranks = f"return [...{tree}.querySelectorAll('.rank')].map(one => one.textContent).sort()"
    assert browser.evaluate(ranks) == ["#1", "#2", "#3", "#4", "#5"]


def test_everything_works_by_keyboard(browser, address):
    open_page(browser, address, 1280)
    type_in(browser, SENTENCE)
    browser.evaluate("document.querySelector('textarea').focus()")
    tab, enter = "\ue004", "\ue007"
    for _ in range(4):  # beam, button, first word, second word
        browser.press(tab)
    assert browser.evaluate("return document.activeElement.className") == "word"
    browser.press(enter)
    pressed = "return document.activeElement.getAttribute('aria-pressed')"
    assert browser.evaluate(pressed) == "true"
    while "choices" not in browser.evaluate(
        "return (document.activeElement.closest('.choices') || document.activeElement).className"
    ):
        browser.press(tab)
    browser.press(enter)
    wait_for(browser, "return document.querySelector('.forced button') !== null")
    wait_for(browser, READY)
    assert browser.evaluate("return document.activeElement.className") == "word"  # not lost


@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_text_is_text(browser, address, width):
    open_page(browser, address, width)
    type_in(browser, HOSTILE)
    assert browser.evaluate("return window.harm === undefined")
    assert browser.evaluate("return document.querySelectorAll('img').length") == 0
    text = browser.evaluate("return document.querySelector('#page').textContent")
    assert "<script>window.harm=1</script>" in text
    assert "\u27e8U+202E\u27e9" in text
    assert "\u202e" not in text
    assert browser.evaluate("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.call("POST", "/se/log", {"type": "browser"}) == []


def test_errors_are_shown_in_words_and_the_next_sentence_works(browser, address):
    open_page(browser, address, 390)
    browser.evaluate("document.querySelector('input').value = 0")
    browser.evaluate(TEXT, SENTENCE)
    wait_for(browser, "return document.querySelector('.status.failed') !== null")
    browser.evaluate("document.querySelector('input').value = 2")
    type_in(browser, SENTENCE)
    assert browser.evaluate("return document.querySelector('.status.failed') === null")


TOPS = "return [...document.querySelectorAll('.panel h3')].slice(0, 2).map(one => one.offsetTop)"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_layout_does_not_jump(browser, address, width):
    """A new sentence and a forced word leave the headings below the translation in place."""
    open_page(browser, address, width)
    type_in(browser, SENTENCE)
    before = browser.evaluate(TOPS)
    type_in(browser, "our old cat sleeps .")
    assert browser.evaluate(TOPS)[0] == before[0]
    browser.evaluate("document.querySelectorAll('.choices button')[1].click()")
    wait_for(browser, "return document.querySelector('.forced button') !== null")
    wait_for(browser, READY)
    assert browser.evaluate(TOPS)[0] == before[0]
    inside = "const one = document.querySelector('.forced');"
    assert browser.evaluate(inside + "return one.scrollHeight <= one.clientHeight")


# WCAG 2: relative luminance of the text and of the first opaque ground below it
CONTRAST = """
const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
function rgb(colors) {
  canvas.clearRect(0, 0, 1, 1);
  for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
function light(parts) {
  const [r, g, b] = parts.map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const found = [];
for (const one of document.querySelectorAll("#page *")) {
  const own = [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || one.closest("svg, noscript") || !one.getClientRects().length) continue;
  const grounds = [];
  for (let at = one; at; at = at.parentElement) {
    grounds.unshift(getComputedStyle(at).backgroundColor);
  }
  const ground = rgb(grounds);
  const text = rgb([...grounds, getComputedStyle(one).color]);
  const [low, high] = [light(ground), light(text)].sort((a, b) => a - b);
  found.push([(high + 0.05) / (low + 0.05), one.tagName + "." + one.className + one.textContent]);
}
return found.sort((a, b) => a[0] - b[0]).slice(0, 3);
"""


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_is_readable(browser, address, mode):
    open_page(browser, address, 1280, mode)
    type_in(browser, SENTENCE)
    browser.evaluate("document.querySelectorAll('.tools button')[0].click()")
    worst = browser.evaluate(CONTRAST)
    assert worst[0][0] >= 4.5, worst
    for weight in ("0", "0.5", "1"):  # whatever this model's attention is
        browser.evaluate(f"""
            for (const cell of document.querySelectorAll(".map td")) {{
              cell.style.setProperty("--weight", "{weight}");
              cell.textContent = "50";
            }}""")
        worst = browser.evaluate(CONTRAST)
        assert worst[0][0] >= 4.5, worst


@pytest.mark.parametrize("width", WIDTHS)
def test_the_file_of_explain_shows_the_same_view(browser, address, models, tmp_path, width):
    path = tmp_path / "page.html"
    words = [*command(["explain", HOSTILE], models), "-o", str(path)]
    subprocess.run(words, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    browser.open(path)
    browser.resize(width, 900)
    written = browser.evaluate("return document.querySelector('.panels').textContent")
    assert browser.evaluate("return window.harm === undefined")
    assert browser.evaluate("return document.querySelectorAll('.choices button').length") == 0
    assert browser.evaluate("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.call("POST", "/se/log", {"type": "browser"}) == []
    open_page(browser, address, width)
    type_in(browser, HOSTILE)
    live = browser.evaluate("return document.querySelector('.panels').textContent")
    assert live.replace("; choose an alternative to force it", "") == written
