"""s2st: sequence-to-sequence translation, the library behind the `s2st` command.

Text -> ids on disk -> length-bucketed batches -> model -> criterion -> trainer -> checkpoint ->
scorer -> search or rescoring -> text. `docs/development.md` draws the layers.
"""

__version__ = "0.1.0"
