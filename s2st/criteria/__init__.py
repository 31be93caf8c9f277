"""Layer 4: criteria (registry): the losses that training minimizes."""
