"""How similar two decoders see the same sentences: PCA, and linear CKA (Kornblith et al. 2019).

A decoder's view of a sentence is the vector from which it predicts its first word: its first state
and the source that it attends to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from s2st.analysis.figures import Points, draw_scatter
from s2st.analysis.state_pca import principal_components
from s2st.data.batch import make_source
from s2st.models.languages import LanguageChoice
from s2st.scoring.base import Scorer
from s2st.scoring.load_scorers import load_scorer
from s2st.text.vocabulary import BOS_ID

Matrix = npt.NDArray[np.float64]
DRAWN = 40  # sentences in a figure
BATCH = 50


@dataclass(frozen=True)
class Row:
    """Similarities of a system's two views of N sentences, from 0 to 1.

    Attributes:
        label: the system.
        encoders: linear CKA of the sentence vectors of the two encoders.
        decoders: linear CKA of the two decoders' views.
        plane: squared correlation of the views' two principal components, after the best linear
            map of one plane to the other.
    """

    label: str
    encoders: float
    decoders: float
    plane: float


def compare(
    label: str, models: Sequence[tuple[Path, str]], sentences: Sequence[str], figure: Path
) -> Row:
    """Compare the views of two models, and draw their principal components.

    Args:
        label: the system.
        models: (checkpoint, target language) of two models.
        sentences: English text.
        figure: name of the figure without suffix.
    """
    encoded, decoded = [], []
    for path, language in models:
        choice = LanguageChoice(None, language)
        scorer = load_scorer([str(path)], torch.device("cpu"), languages=choice)
        vectors, views = _vectors(scorer, sentences)
        encoded.append(vectors)
        decoded.append(views)
    planes = [principal_components(view)[0] for view in decoded]
    first, second = planes
    aligned = second @ np.linalg.lstsq(second, first, rcond=None)[0]
    groups = [
        Points(language, plane[:DRAWN, 0].tolist(), plane[:DRAWN, 1].tolist(),
               [str(number + 1) for number in range(min(DRAWN, len(plane)))])
        for (_, language), plane in zip(models, (first, aligned), strict=True)
    ]  # fmt: skip
    draw_scatter(figure, groups, x_label="first component", y_label="second component", title=label)
    return Row(label, cka(*encoded), cka(*decoded), 1 - _share(first - aligned, first))


def _vectors(scorer: Scorer, sentences: Sequence[str]) -> tuple[Matrix, Matrix]:
    """Return the encoder's vectors and the decoder's views of the sentences."""
    encoded, decoded = [], []
    source = scorer.source
    for start in range(0, len(sentences), BATCH):
        texts = sentences[start : start + BATCH]
        rows = [source.ids(source.tokenizer.encode(text)) for text in texts]
        batch = make_source(rows, range(len(rows)))
        parts = scorer.sentence_vectors(batch)
        encoded.append(torch.cat(list(parts.values()), dim=1).double().numpy())
        first = torch.full((len(rows),), BOS_ID)
        features = scorer.advance(first, scorer.start(batch)).features
        assert isinstance(features, torch.Tensor)
        decoded.append(features.double().numpy())
    return np.concatenate(encoded), np.concatenate(decoded)


def cka(first: Matrix, second: Matrix) -> float:
    """Return the linear CKA of two sets of vectors of the same N sentences: 1 if they are equal up
    to rotation and scale.
    """
    one, two = (part - part.mean(axis=0) for part in (first, second))
    cross = np.linalg.norm(one.T @ two) ** 2
    return float(cross / (np.linalg.norm(one.T @ one) * np.linalg.norm(two.T @ two)))


def _share(part: Matrix, whole: Matrix) -> float:
    centered = whole - whole.mean(axis=0)
    return float((part**2).sum() / ((centered**2).sum() or 1.0))


def render(rows: Sequence[Row]) -> list[str]:
    """Render the similarities as lines of a Markdown table."""
    return [
        "| system | encoders, CKA | decoders' views, CKA | decoders' views, first 2 components |",
        "|---|---:|---:|---:|",
        *(f"| {r.label} | {r.encoders:.3f} | {r.decoders:.3f} | {r.plane:.3f} |" for r in rows),
    ]
