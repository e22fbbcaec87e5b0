"""Documents in, the topology out: what the manifests of all clusters mean together, and every
mistake in them.
"""
