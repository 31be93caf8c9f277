"""Options as dataclass fields, registries of components, and the resolution of options."""
