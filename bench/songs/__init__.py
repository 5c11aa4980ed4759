"""Methods put to use: loading one by any name, and separating songs of any length and rate."""
