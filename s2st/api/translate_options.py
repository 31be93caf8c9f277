"""Options of the methods of `Model` that translate: those of `s2st generate`, by keyword."""

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING

from s2st.api.keywords import Option, refuse_names, resolved_keywords
from s2st.errors import UsageError
from s2st.jobs.options import TRANSLATE_SPEC
from s2st.options.option_fields import option_specs
from s2st.options.resolution import OptionSource, Resolved, select

if TYPE_CHECKING:
    from s2st.search.base import Search

# options of `generate` about files and about arguments that the methods have
FILE_OPTIONS = ("format", "alignments", "resume", "encoding_errors", "source_vectors")


def translate_options(method: str, options: Mapping[str, Option]) -> Resolved:
    """Return the options of a method; raise UsageError for one about files, or a wrong one."""
    where = f"Model.{method}()"
    refuse_names(where, options, FILE_OPTIONS)
    return resolved_keywords(where, TRANSLATE_SPEC, options)


def search_of(options: Resolved) -> "Search":
    """Return the search that the options choose."""
    search: Search = options.entries["search"].build(options.configs["search"])
    return search


def refuse(options: Mapping[str, Option], method: str, name: str, remedy: str) -> None:
    """Raise UsageError if the options contain a name that the method fixes itself."""
    if name in options:
        raise UsageError(f"Model.{method}(): option {name!r} is not possible here; {remedy}")


def with_beam(options: dict[str, Option], n: object) -> dict[str, Option]:
    """Return the options with a beam of at least n, if the search has one and none is given."""
    names = {name: value for name, value in options.items() if name == "search"}
    entry = select(TRANSLATE_SPEC, [OptionSource("Model.nbest()", names)])["search"]
    beam = next((spec for spec in option_specs(entry.config_type) if spec.name == "beam"), None)
    if beam is None or "beam" in options or not isinstance(n, Integral):
        return options
    return {**options, "beam": max(int(n), entry.overrides.get("beam", beam.default))}
