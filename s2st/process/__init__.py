"""The process and its machine: devices, lasting files, manifests, signals, ranks."""
