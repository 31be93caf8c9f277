"""Layer 4: criteria (registry): what training minimizes."""
