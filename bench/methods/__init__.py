"""What a method is, what training tells it, long songs in chunks, and methods by name."""
