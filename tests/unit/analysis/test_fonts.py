"""Labels in any script: a font that has them where there is one, else one line; never a flood."""

import unicodedata
import warnings

import matplotlib.image
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager

from s2st.analysis import figure_fonts
from s2st.analysis.figures import Points, Series, draw_curves, draw_scatter
from s2st.analysis.heat_maps import draw_map

HANGUL = "한글"


def square():
    pen = TTGlyphPen(None)
    pen.moveTo((0, -200))
    for corner in ((0, 900), (1000, 900), (1000, -200)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


def square_font(path, characters):
    """A font in which every one of some characters is a black square."""
    names = [".notdef", *(f"u{ord(one):04X}" for one in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(
        {ord(one): name for one, name in zip(characters, names[1:], strict=True)}
    )
    builder.setupGlyf({name: square() for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-200)
    builder.setupNameTable({"familyName": f"Squares {path.stem}", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=900, sTypoDescender=-200, usWinAscent=900, usWinDescent=200)
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def machine(monkeypatch):
    """Makes a machine of DejaVu and some other font files."""
    bundled = [entry for entry in fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(fontManager, "ttflist", bundled)
    monkeypatch.setattr(figure_fonts, "_warned", set())

    def install(*paths):
        monkeypatch.setattr(figure_fonts, "_system_fonts", lambda: [str(path) for path in paths])

    install()
    return install


def every_figure(folder, text):
    folder.mkdir()
    axes = {"x_label": text, "y_label": "y", "title": text}
    return [
        draw_curves(folder / "curves", [Series(text, [1, 2], [1, 2])], **axes),
        draw_scatter(folder / "points", [Points(text, [0, 1], [0, 1], [text, "x"])], **axes),
        draw_map(folder / "map", np.eye(2), rows=[text, "x"], columns=["x", text], **axes),
    ]


def black(png):
    return int((matplotlib.image.imread(png)[..., :3].max(axis=2) < 0.3).sum())


def test_a_font_of_the_machine_is_taken(machine, tmp_path, caplog):
    plain = every_figure(tmp_path / "plain", HANGUL)
    caplog.clear()
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    machine(tmp_path / "broken.ttf", square_font(tmp_path / "NanumGothic.ttf", HANGUL))
    before = list(fontManager.ttflist)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = every_figure(tmp_path / "drawn", HANGUL)
    assert not caplog.records
    assert fontManager.ttflist == before
    for (_, boxes), (svg, squares) in zip(plain, drawn, strict=True):
        assert black(squares) > 1.2 * black(boxes)  # filled squares, not their outlines
        assert HANGUL in svg.read_text("utf-8")


def test_several_fonts_are_taken_where_one_does_not_do(machine, tmp_path, caplog):
    one, other = square_font(tmp_path / "one.ttf", "한"), square_font(tmp_path / "two.ttf", "글")
    machine(one, other)
    with figure_fonts.fonts_for(["a", HANGUL]) as families:
        assert families == ["Squares one", "Squares two"]
    with figure_fonts.fonts_for(["plain text", "é à ñ Ω я"]) as families:
        assert families == []
    assert not caplog.records


def test_without_a_font_there_is_one_line(machine, tmp_path, caplog, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = every_figure(tmp_path / "a", HANGUL) + every_figure(tmp_path / "b", HANGUL)
    (record,) = caplog.records
    message = record.getMessage()
    assert "fonts-noto-cjk" in message
    assert "한" in message
    assert "\n" not in message
    assert "Glyph" not in "".join(capfd.readouterr())
    for svg, png in drawn:
        assert HANGUL in svg.read_text("utf-8")
        assert png.read_bytes().startswith(b"\x89PNG")


def test_a_figure_for_a_page_says_nothing_of_png(machine, tmp_path, caplog):
    svg, png = draw_curves(
        tmp_path / "f", [Series(HANGUL, [1], [1])], x_label="x", y_label="y", png=False
    )
    assert HANGUL in svg.read_text("utf-8")
    assert not png.exists()
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("한국어", "fonts-noto-cjk"),
        ("中文", "fonts-noto-cjk"),
        ("かな カナ", "fonts-noto-cjk"),
        ("ｆｕｌｌ", "fonts-noto-cjk"),
        ("\U0001f916", "fonts-symbola"),
        ("हिन्दी", "fonts-noto-core"),
        ("ไทย", "fonts-noto-core"),
        ("שלום مرحبا", None),  # DejaVu has them
        ("\u2581the \u0120a", None),
        ("a\u200b\u200d\ufe0f\u00ad\u2028b\ue000\x07", None),  # nothing to draw
    ],
)
def test_the_package_that_helps(machine, caplog, text, package):
    with figure_fonts.fonts_for([text]):
        pass
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (package is not None)
    for message in messages:
        assert f"install {package} (" in message


def test_fonts_that_draw_only_boxes_are_rejected(machine, tmp_path, caplog):
    """matplotlib brings one that has every character, as a box."""
    machine(square_font(tmp_path / "LastResortHE-Regular.ttf", HANGUL))
    with figure_fonts.fonts_for([HANGUL]) as families:
        assert families == []
    assert caplog.records


def test_on_this_machine_whatever_its_fonts(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(figure_fonts, "_warned", set())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        every_figure(tmp_path / "f", HANGUL)
    with figure_fonts.fonts_for([HANGUL]) as families:
        assert bool(families) != bool(caplog.records)


def test_letters_of_east_asia_are_wide():
    assert figure_fonts.text_width("ab한") == 4
    assert unicodedata.east_asian_width("한") == "W"
