"""Errors of a training whose numbers are not finite."""

from s2st.errors import S2STError


class DivergenceError(S2STError):
    """The loss or the gradient is not finite. The update was not applied, nothing was saved."""


class ValidationDivergenceError(DivergenceError):
    """The validation loss is not finite: the weights are at fault, not a batch."""


class WeightsDivergenceError(ValidationDivergenceError):
    """The weights or the optimizer's state are not finite numbers; they were not saved."""
