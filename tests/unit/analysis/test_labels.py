"""Labels around points: none covers another where there is room."""

import random

import pytest

from s2st.analysis.label_placement import place_labels

FRAME = (0.0, 0.0, 400.0, 300.0)
SIZE = (60.0, 10.0)


def box(place):
    return (
        place.x - SIZE[0] / 2, place.y - SIZE[1] / 2, place.x + SIZE[0] / 2, place.y + SIZE[1] / 2,
    )  # fmt: skip


def meet(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_a_lone_label_stands_right_of_its_point():
    (place,) = place_labels([(100, 100)], [SIZE], FRAME)
    assert (place.x, place.y) == (136, 100)  # 6 off, and half its width
    assert place.line_to is None


def test_a_label_at_the_right_edge_goes_to_the_left():
    (place,) = place_labels([(390, 100)], [SIZE], FRAME)
    assert (place.x, place.y) == (354, 100)


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_a_cluster_cover_neither_each_other_nor_points(seed):
    rng = random.Random(seed)
    points = [(200 + rng.uniform(-25, 25), 150 + rng.uniform(-25, 25)) for _ in range(6)]
    boxes = [box(place) for place in place_labels(points, [SIZE] * 6, FRAME)]
    for i, one in enumerate(boxes):
        assert one[0] >= 0
        assert one[2] <= 400
        assert not [other for other in boxes[i + 1 :] if meet(one, other)]
        assert not [1 for x, y in points if one[0] < x < one[2] and one[1] < y < one[3]]


def test_a_label_that_went_far_has_a_line_to_its_edge():
    places = place_labels([(200, 150)] * 8, [SIZE] * 8, FRAME)
    linked = [place for place in places if place.line_to is not None]
    assert linked
    for place in linked:
        left, bottom, right, top = box(place)
        x, y = place.line_to
        assert left <= x <= right
        assert bottom <= y <= top
        assert x == pytest.approx(left) or x == pytest.approx(right) or y in (
            pytest.approx(bottom), pytest.approx(top),
        )  # fmt: skip
