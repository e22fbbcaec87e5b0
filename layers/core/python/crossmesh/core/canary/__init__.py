"""Samples in, a verdict out: whether the answers keep what the routes promise."""
