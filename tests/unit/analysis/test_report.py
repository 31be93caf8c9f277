"""Reports: what report.json may hold."""

import copy
import json
import re
import struct
import zlib

import pytest

from s2st.analysis import study_report_reader
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
from s2st.errors import DataError, InputMissingError

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="5"/></svg>'
STUDY = {
    "format": "s2st-report",
    "version": 1,
    "title": "A study",
    "lead": "What it found.",
    "facts": [["machine", "two cores"]],
    "sections": [
        {
            "title": "Table 1",
            "text": ["BLEU."],
            "items": [
                {
                    "kind": "table",
                    "caption": "BLEU by beam",
                    "columns": [
                        {"name": "system", "type": "text"},
                        {"name": "beam 1", "type": "number", "digits": 1},
                        {"name": "verdict", "type": "text"},
                    ],
                    "rows": [
                        ["RNN", {"value": 22, "low": 21.06, "high": 23.5}, None],
                        ["LSTM", 31.25, {"text": "held", "mark": "good"}],
                    ],
                },
                {"kind": "figure", "path": "figures/a.svg", "caption": "Lengths", "alt": "falls"},
                {
                    "kind": "samples",
                    "caption": "Long ones",
                    "columns": ["source", "reference"],
                    "rows": [{"note": "line 3", "texts": ["a b", "un b"]}],
                },
                {"kind": "commands", "caption": "How", "lines": ["s2st train bin", "ls"]},
            ],
        }
    ],
}


def png(width=3, height=2):
    def chunk(kind, data):
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 8)) + chunk(b"IEND", b"")
    )


@pytest.fixture
def study(tmp_path):
    """Writes a study's folder; returns it."""

    def write(values=STUDY):
        (tmp_path / "figures").mkdir(exist_ok=True)
        (tmp_path / "figures" / "a.svg").write_bytes(SVG)
        (tmp_path / "report.json").write_text(json.dumps(values), "utf-8")
        return tmp_path

    return write


def changed(place, value):
    """STUDY with another value at a place, a tuple of keys; DELETE takes it out."""
    values = copy.deepcopy(STUDY)
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    if value is DELETE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return values


DELETE = object()
ITEMS = ("sections", 0, "items")
TABLE = (*ITEMS, 0)


def test_a_study_is_read_whole(study):
    table = Table(
        "BLEU by beam",
        (Column("system"), Column("beam 1", True, 1), Column("verdict")),
        (
            ("RNN", Interval(22.0, 21.06, 23.5), None),
            ("LSTM", 31.25, Marked("held", "good")),
        ),
    )
    items = (
        table,
        Figure("Lengths", "falls", "image/svg+xml", SVG),
        Samples("Long ones", ("source", "reference"), (Sample("line 3", ("a b", "un b")),)),
        Commands("How", ("s2st train bin", "ls")),
    )
    facts = (("machine", "two cores"),)
    sections = (Section("Table 1", ("BLEU.",), items),)
    assert read_study(study()) == Report("A study", "What it found.", facts, sections)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("format",), "other", '"format" is not "s2st-report"'),
        (("version",), 2, "version: is 2"),
        (("title",), DELETE, "has no 'title'"),
        (("title",), 3, "title: is 3, not text"),
        (("title",), " ", "title: is empty"),
        (("lead",), "\ud800", "lead: contains a lone surrogate"),
        (("more",), 1, "unknown key 'more'"),
        (("facts",), {}, "facts: is {}, not a list"),
        (("facts", 0), ["machine"], "facts[0]: has 1 texts"),
        (("facts", 0, 1), None, "facts[0][1]: is None, not text"),
        (("sections", 0), [], "sections[0]: is [], not an object"),
        (("sections", 0, "text", 0), 1, "sections[0].text[0]: is 1, not text"),
        ((*ITEMS, 1), "x", "sections[0].items[1].kind: is None"),
        ((*ITEMS, 1, "kind"), "film", "sections[0].items[1].kind: is 'film'"),
        ((*ITEMS, 1, "kind"), [], "sections[0].items[1].kind: is []"),
        ((*TABLE, "columns"), [], "sections[0].items[0].columns: is empty"),
        ((*TABLE, "columns", 1, "type"), "int", "sections[0].items[0].columns[1].type: is 'int'"),
        ((*TABLE, "columns", 1, "digits"), 13, "columns[1].digits: is 13"),
        ((*TABLE, "columns", 1, "digits"), True, "columns[1].digits: is True"),
        ((*TABLE, "rows", 1), ["LSTM"], "items[0].rows[1]: has 1 values for 3 columns"),
        ((*TABLE, "rows", 1, 1), float("nan"), "items[0].rows[1][1]: is nan, not a finite number"),
        ((*TABLE, "rows", 1, 1), 10**400, "items[0].rows[1][1]: is 1000"),
        ((*TABLE, "rows", 1, 1), True, "items[0].rows[1][1]: is True, not a finite number"),
        ((*TABLE, "rows", 0, 1, "low"), "a", "items[0].rows[0][1].low: is 'a'"),
        ((*TABLE, "rows", 0, 1, "low"), 24, "rows[0][1]: its low 24 is more than its high 23.5"),
        ((*TABLE, "rows", 0, 1, "high"), DELETE, "items[0].rows[0][1]: has no 'high'"),
        ((*TABLE, "rows", 1, 2, "mark"), "fine", "items[0].rows[1][2].mark: is 'fine'"),
        ((*TABLE, "rows", 1, 2, "mark"), ["good"], "items[0].rows[1][2].mark: is ['good']"),
        ((*ITEMS, 2, "rows", 0, "texts"), ["a"], "rows[0].texts: has 1 values for 2 columns"),
        ((*ITEMS, 3, "lines"), "ls", "sections[0].items[3].lines: is 'ls', not a list"),
        ((*ITEMS, 1, "path"), "/etc/a.svg", "items[1].path: '/etc/a.svg' is not a path inside"),
        ((*ITEMS, 1, "path"), "../a.svg", "items[1].path: '../a.svg' is not a path inside"),
        ((*ITEMS, 1, "path"), "a\0.svg", "is not a path inside"),
        (
            (*ITEMS, 1, "path"),
            "figures/a.gif",
            "items[1].path: 'figures/a.gif' is not a .svg or .png",
        ),
        ((*ITEMS, 1, "alt"), "", "items[1].alt: is empty"),
    ],
)
def test_what_does_not_fit_is_named_by_file_and_place(study, place, value, message):
    folder = study(changed(place, value))
    with pytest.raises(DataError) as caught:
        read_study(folder)
    assert str(caught.value).startswith(f"{folder}/report.json: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < len(str(folder)) + 300


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"format":\n"s2st-report",\n]', "report.json, line 3: not JSON"),
        (b'"\xff"', "not JSON in UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a report"),
    ],
)
def test_what_is_no_json_is_refused(study, data, message):
    folder = study()
    (folder / "report.json").write_bytes(data)
    with pytest.raises(DataError, match=re.escape(message)):
        read_study(folder)


ENTITY = b'<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>'


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.svg", b"<svg", "not a readable SVG"),
        ("a.svg", b"<html/>", "not an SVG"),
        ("a.svg", ENTITY, "it defines entities"),
        ("a.svg", b'<?xml version="1.0" encoding="no-such"?><svg/>', "not a readable SVG"),
        ("a.png", SVG, "not a PNG"),
        ("a.png", png()[:20], "not a PNG"),
        ("a.png", png(20_001, 1), "20001 x 1 pixels"),
        ("a.png", png(0, 1), "0 x 1 pixels"),
    ],
)
def test_a_file_that_is_no_picture_is_refused(study, name, data, message):
    folder = study(changed((*ITEMS, 1, "path"), f"figures/{name}"))
    (folder / "figures" / name).write_bytes(data)
    with pytest.raises(DataError, match=r"items\[1\]\.path: 'figures/a\.\w+': .*" + message):
        read_study(folder)


def test_figures_do_not_leave_the_folder_by_links(study, tmp_path_factory):
    folder = study()
    outside = tmp_path_factory.mktemp("outside") / "a.svg"
    outside.write_bytes(SVG)
    (folder / "figures" / "a.svg").unlink()
    (folder / "figures" / "a.svg").symlink_to(outside)
    with pytest.raises(DataError, match="symbolic link that leads out"):
        read_study(folder)
    (folder / "figures" / "a.svg").unlink()
    (folder / "within.svg").write_bytes(SVG)
    (folder / "figures" / "a.svg").symlink_to("../within.svg")
    assert read_study(folder).sections[0].items[1].data == SVG
    (folder / "figures" / "a.svg").unlink()
    (folder / "figures" / "a.svg").mkdir()
    with pytest.raises(DataError, match="not a regular file"):
        read_study(folder)


def test_a_missing_svg_is_replaced_by_its_png_or_missed(study):
    folder = study()
    (folder / "figures" / "a.svg").unlink()
    with pytest.raises(InputMissingError, match=r"items\[1\]\.path: 'figures/a.svg' cannot be"):
        read_study(folder)
    (folder / "figures" / "a.png").write_bytes(png())
    figure = read_study(folder).sections[0].items[1]
    assert (figure.media_type, figure.data) == ("image/png", png())


def test_figures_have_a_greatest_size_each_and_together(study, monkeypatch):
    values = changed((*ITEMS, 2), STUDY["sections"][0]["items"][1])
    folder = study(values)
    size = len(SVG)
    monkeypatch.setattr(study_report_reader, "MAX_FIGURE_BYTES", size)
    monkeypatch.setattr(study_report_reader, "MAX_PAGE_BYTES", 2 * size)
    read_study(folder)
    monkeypatch.setattr(study_report_reader, "MAX_PAGE_BYTES", 2 * size - 1)
    with pytest.raises(DataError, match=r"items\[2\]\.path: the figures up to"):
        read_study(folder)
    monkeypatch.setattr(study_report_reader, "MAX_FIGURE_BYTES", size - 1)
    with pytest.raises(DataError, match=r"items\[1\]\.path: 'figures/a.svg' is larger"):
        read_study(folder)
