"""Devices, durable files, manifests, stop signals, worker processes, ranks and rendezvous."""
