"""The page made of a report."""

import base64
import hashlib
import re
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report import SVG, png, study

import s2st
from s2st.analysis import study_report_reader
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
from s2st.analysis.study_report_reader import read_study
from s2st.options.option_fields import read_toml

__all__ = ["study"]  # fixture


class Seen(HTMLParser):
    """Elements of a page: (tag, attributes, text inside), checked to be nested well."""

    VOID = ("meta", "link", "img")

    def __init__(self, page):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(page.decode())
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        element = [tag, dict(attrs), ""]
        self.elements.append(element)
        if tag not in self.VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def all(self, tag):
        return [element for element in self.elements if element[0] == tag]

    def texts(self, tag):
        return [text for _, _, text in self.all(tag)]


def test_the_page_shows_all_of_the_report(study):
    page = Seen(render_page(read_study(study())))
    assert page.texts("title") == page.texts("h1") == ["A study"]
    assert page.texts("h2") == ["Table 1", "How this was made"]
    assert [link[1]["href"] for link in page.all("a")] == ["#s1", "#facts"]
    assert {"#" + e[1]["id"] for e in page.all("section")} == {"#s1", "#facts"}
    rows = [text.strip() for text in page.texts("tr")]
    assert rows[1:] == ["RNN22.0 [21.1, 23.5]", "LSTM31.2 ✓ held"]
    heads = [(head[1].get("scope"), head[2].strip()) for head in page.all("th")]
    assert heads == [
        ("col", "system"), ("col", "beam 1"), ("col", "verdict"), ("row", "RNN"), ("row", "LSTM"),
    ]  # fmt: skip
    values = [cell[1].get("data-value") for cell in page.all("td")]
    assert [value and float(value) for value in values] == [22, None, 31.25, None]
    (image,) = page.all("img")
    kind, _, data = image[1]["src"].partition(",")
    assert (kind, image[1]["alt"]) == ("data:image/svg+xml;base64", "falls")
    assert base64.b64decode(data) == SVG
    assert page.texts("dd") == ["a b", "un b", "two cores"]
    assert page.texts("dt") == ["source", "reference", "machine"]
    assert page.texts("code") == ["s2st train bin\nls"]
    assert page.all("html")[0][1]["lang"] == "en"


def test_equal_reports_give_equal_bytes(study):
    folder = study()
    assert render_page(read_study(folder)) == render_page(read_study(folder))


def test_the_policy_allows_this_style_and_this_script_only(study):
    page = Seen(render_page(read_study(study())))
    (policy,) = [m[1]["content"] for m in page.all("meta") if "http-equiv" in m[1]]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("style", "script"):
        (text,) = page.texts(tag)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    for tag, attributes, _ in page.elements:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}, tag
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))


HOSTILE = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from("<>&\"'`/=!- \n"), max_size=30
)


def page_of(text):
    rows = ((text, text), ("x", None), (Marked(text, "bad"), Interval(1, 0, 2)))
    items = (
        Table(text, (Column(text), Column(text, True)), rows),
        Figure(text, text, "image/svg+xml", SVG),
        Samples(text, (text,), (Sample(text, (text,)),)),
        Commands(text, (text,)),
    )
    report = Report(text, text, ((text, text),), (Section(text, (text,), items),))
    return Seen(render_page(report))


@given(HOSTILE.map("x{}".format))
def test_no_text_becomes_markup(text):
    page, harmless = page_of(text), page_of("x")
    assert [tag for tag, _, _ in page.elements] == [tag for tag, _, _ in harmless.elements]
    shown = re.sub("[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", "\ufffd", text)
    assert page.texts("h1") == page.texts("caption") == page.texts("code") == [shown]
    assert page.texts("dd") == [shown, shown]
    assert page.all("img")[0][1]["alt"] == shown


@pytest.mark.parametrize(
    ("cell", "digits", "shown"),
    [
        (31.25, 1, "31.2"),
        (1234567.0, 0, "1,234,567"),
        (-3.14159, 2, "\u22123.14"),
        (-0.001, 2, "0.00"),
        (2.5e20, 2, "2.500e+20"),
        (Interval(-0.5, -1.0, 0.25), 1, "\u22120.5 [\u22121.0, 0.2]"),
    ],
)
def test_numbers_are_shown_for_readers(cell, digits, shown):
    table = Table("t", (Column("a"), Column("b", True, digits)), (("x", cell),))
    page = Seen(render_page(Report("t", "", (), (Section("s", (), (table,)),))))
    assert page.texts("td") == [shown]
    assert not page.all("nav")  # of one section


def test_only_pictures_that_follow_dark_mode_stand_on_its_ground():
    dark = SVG.replace(b"<rect", b"<style>@media (prefers-color-scheme: dark) {}</style><rect")
    figures = [
        Figure("a", "a", "image/svg+xml", dark),
        Figure("b", "b", "image/svg+xml", SVG),
        Figure("c", "c", "image/png", png()),
    ]
    page = Seen(render_page(Report("t", "", (), (Section("s", (), tuple(figures)),))))
    assert [figure[1].get("class") for figure in page.all("figure")] == [None, "plate", "plate"]


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_the_contrast_of_wcag_in_both_modes_and_in_print():
    style = (Path(study_report_reader.__file__).parent / "report.css").read_text("utf-8")
    modes = [
        {name: color if len(color) == 7 else "#" + "".join(2 * digit for digit in color[1:])
         for name, color in re.findall(r"--(\w+): (#[0-9a-f]+);", block)}
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]  # fmt: skip
    assert len(modes) == 3
    for colors in modes:
        for ground in ("ground", "panel"):
            for ink in ("ink", "muted", "link", "good", "bad", "unsure"):
                pair = sorted(luminance(colors[name]) for name in (ink, ground))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (ink, ground, colors)


def test_the_example_of_the_guide_is_a_report(study):
    guide = (Path(s2st.__file__).parents[1] / "docs" / "how-to" / "analyze.md").read_text("utf-8")
    (example,) = re.findall(r"```json\n(\{\"format\": \"s2st-report\".*?)```", guide, re.DOTALL)
    folder = study()
    (folder / "report.json").write_text(example, "utf-8")
    (folder / "figures" / "lengths.svg").write_bytes(SVG)
    (section,) = read_study(folder).sections
    assert [type(item) for item in section.items] == [Table, Figure, Samples, Commands]


def test_a_wheel_holds_what_the_page_needs():
    root = Path(s2st.__file__).parent
    project = read_toml(root.parent / "pyproject.toml")
    patterns = project["tool"]["setuptools"]["package-data"]["s2st"]
    for name in ("analysis/report.css", "analysis/report.js"):
        assert (root / name).is_file()
        assert any(fnmatch(name, pattern) for pattern in patterns)
