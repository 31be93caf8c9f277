"""Analysis: where a system is good, what its states hold, and the report that shows it."""
