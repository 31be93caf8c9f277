"""Principal components of sentence vectors."""

from typing import TYPE_CHECKING

from s2st.errors import UsageError
from s2st.options.option_fields import shown

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2st.api.records import Floats


def principal_components(vectors: "npt.ArrayLike") -> "tuple[Floats, tuple[float, float]]":
    """Project vectors (N, D) on their first two principal components, as `analyze states` does.

    The sign of a component is arbitrary; here its largest coefficient is positive.

    Args:
        vectors: N rows of finite numbers, such as the result of `Model.sentence_vectors`.

    Returns:
        (N, 2) places, and the share of the variance of each component.

    Raises:
        UsageError: `vectors` is no such matrix.
    """
    import numpy as np

    from s2st.analysis.state_pca import principal_components as project

    try:
        matrix = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"vectors must be a matrix of numbers, not {shown(vectors)}") from error
    if matrix.ndim != 2 or not matrix.size:
        raise UsageError(
            f"vectors must be a matrix (N, D) of numbers, not an array of shape {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        row = int(np.argmin(np.isfinite(matrix).all(axis=1)))
        raise UsageError(f"vectors, row {row + 1}: a number is not finite")
    return project(matrix)
