"""Facts along a request's path in, the broken layers with evidence and fix out."""
