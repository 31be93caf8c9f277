"""Options as dataclass fields, component registries, and resolution of option values."""
