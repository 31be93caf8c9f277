"""Figures: files that open, in both modes of the reader, the same bytes each time."""

import math
import re
import sys
import warnings
from xml.etree import ElementTree

import pytest

from s2st.analysis.figure_files import figure_paths
from s2st.analysis.figures import (
    COLORS,
    DASHES,
    Points,
    Series,
    draw_curves,
    draw_scatter,
)
from s2st.errors import OutputError, UsageError

SVG = "{http://www.w3.org/2000/svg}"
AXES = {"x_label": "words", "y_label": "BLEU"}
CURVES = [
    Series("LSTM", [1, 2, 3], [4, 6, 5], [3, 5, 4], [5, 7, 6]),
    Series("_a $b$ <&> é", [1, 2, 3], [5, math.nan, 6]),
    Series("one", [2], [5]),
]


def texts(root):
    return [element.text for element in root.iter(SVG + "text")]


def curves(path, **options):
    return draw_curves(path, CURVES, **AXES, **options)


def test_the_svg_is_for_pages(tmp_path):
    svg, _ = curves(tmp_path / "figure", title="a title")
    content = svg.read_text("utf-8")
    root = ElementTree.fromstring(content)
    assert root.tag == SVG + "svg"
    assert "<!" not in content  # no DOCTYPE: it can stand inside a page
    found = texts(root)
    for text in ("words", "BLEU", "a title", *(one.name for one in CURVES)):
        assert text in found
    (style,) = root.iter(SVG + "style")
    assert "@media (prefers-color-scheme: dark)" in style.text
    assert root.get("class") == "s2st-figure"
    for element in root.iter(SVG + "text"):
        assert "fill: currentColor" in element.get("style")
    # transparent: no filled shape covers the ground
    assert "fill: #ffffff" not in content
    for color in COLORS[:3]:
        assert content.lower().count(color.lower()) >= 1
    assert not re.search(r"20\d\d-\d\d-\d\d", content)


def test_ids_are_used_and_differ_between_figures(tmp_path):
    def ids(name):
        content = curves(tmp_path / name)[0].read_text("utf-8")
        found = set(re.findall(r'\bid="([^"]*)"', content))
        assert found
        used = set(re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', content))
        assert found == {a or b for a, b in used}
        return found

    assert ids("a").isdisjoint(ids("b"))


def test_equal_input_gives_equal_bytes(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first, second = (curves(tmp_path / folder / "figure") for folder in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_png_opens_on_a_white_ground(tmp_path):
    import matplotlib.image

    _, png = curves(tmp_path / "figure")
    pixels = matplotlib.image.imread(png)
    assert pixels.shape[:2] == (860, 1280)  # 6.4 by 4.3 inches at 200 dpi
    assert (pixels[0, 0] == 1).all()
    assert pixels[..., :3].min() < 0.2


def test_curves_differ_without_their_colors(tmp_path):
    many = [Series(f"s{i}", [1, 2], [i, i + 1]) for i in range(len(DASHES))]
    svg, _ = draw_curves(tmp_path / "f", many, **AXES)
    drawn = {
        re.sub(r"stroke: #\w+;", "", path.get("style"))
        for path in ElementTree.parse(svg).getroot().iter(SVG + "path")
        if "stroke-width: 2;" in path.get("style", "") + ";"
    }
    assert len(drawn) == len(DASHES)


def test_a_logarithmic_axis_has_plain_numbers(tmp_path):
    series = [Series("a", [50, 100, 1000], [1, 2, 3])]
    svg, _ = draw_curves(tmp_path / "figure", series, **AXES, log_x=True)
    found = texts(ElementTree.parse(svg).getroot())
    assert {"100", "1,000"} <= set(found)
    assert not [text for text in found if "$" in text]
    with pytest.raises(ValueError, match="above 0"):
        draw_curves(tmp_path / "figure", [Series("a", [0, 1], [1, 2])], **AXES, log_x=True)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [([3.2, 4.9, 3.7], {"3.5", "4", "4.5"}), ([7, 90, 20], {"10", "20", "50"})],
)
def test_a_logarithmic_y_axis_has_round_numbers_at_their_logarithms(tmp_path, values, ticks):
    series = [Series("a", [1, 2, 3], values)]
    svg, _ = draw_curves(tmp_path / "figure", series, **AXES, log_y=True)
    root = ElementTree.parse(svg).getroot()
    assert ticks <= set(texts(root))
    drawn = [
        [float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", path.get("d"))]
        for path in root.iter(SVG + "path")
        if COLORS[0].lower() in path.get("style", "")
    ]
    (heights,) = [one for one in drawn if len(set(one)) == 3]  # not the legend's line
    logs = [math.log(value) for value in values]
    share = (logs[2] - logs[0]) / (logs[1] - logs[0])
    assert (heights[2] - heights[0]) / (heights[1] - heights[0]) == pytest.approx(share, rel=1e-3)


def test_scatter_shows_every_label_once(tmp_path):
    labels = ["a cat", "the dog was given a bone by the old man", ""]
    groups = [Points("first", [0, 1, 2], [0, 1, 0], labels), Points("second", [0.0], [0.0], ["x"])]
    svg, png = draw_scatter(tmp_path / "figure", groups, **AXES)
    found = texts(ElementTree.parse(svg).getroot())
    joined = " ".join(text for text in found if text)
    for text in ("a cat", "the dog was given a bone by the old man", "first", "second"):
        assert text in joined
    assert found.count("x") == 1
    assert png.read_bytes().startswith(b"\x89PNG")


def test_the_name_may_end_in_svg_or_png(tmp_path):
    assert figure_paths("a/b.svg") == figure_paths("a/b.PNG") == figure_paths("a/b")
    assert [str(path) for path in figure_paths("v1.2")] == ["v1.2.svg", "v1.2.png"]
    svg, png = curves(tmp_path / "v1.2.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == [png.name, svg.name]


def test_settings_of_matplotlib_stay_as_they_are(tmp_path, monkeypatch):
    import matplotlib

    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)  # of another test
    # not the backend: to ask for it chooses one, and imports pyplot
    names = [name for name in matplotlib.rcParams if name != "backend"]
    expected = curves(tmp_path / "figure")[0].read_bytes()
    with matplotlib.rc_context({"xtick.labelsize": 30.0, "axes.facecolor": "red"}):
        before = [matplotlib.rcParams[name] for name in names]
        svg, _ = curves(tmp_path / "figure")
        assert [matplotlib.rcParams[name] for name in names] == before
        assert svg.read_bytes() == expected
    assert "matplotlib.pyplot" not in sys.modules


def test_drawing_prints_nothing(tmp_path, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves(tmp_path / "figure")
    assert not caplog.records


def test_wrong_use_is_refused(tmp_path):
    with pytest.raises(UsageError, match="nothing to draw"):
        draw_curves(tmp_path / "f", [], **AXES)
    with pytest.raises(UsageError, match="nothing to draw"):
        draw_scatter(tmp_path / "f", [Points("a", [], [], [])], **AXES)
    with pytest.raises(ValueError, match="equal lengths"):
        draw_curves(tmp_path / "f", [Series("a", [1, 2], [1])], **AXES)
    with pytest.raises(OutputError, match="cannot be written"):
        curves(tmp_path / "no" / "f")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_one_line_says_what_to_install(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=re.escape("pip install 's2st[analysis]'")):
        curves(tmp_path / "figure")
