"""The suite's share of fuzzing: a fixed number of cases, the same ones in every run."""

from hypothesis import HealthCheck, settings


def fixed(examples: int) -> settings:
    """Settings of a hypothesis test that always tries the same cases."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
