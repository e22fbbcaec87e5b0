"""Kubernetes' API as the `Clusters` port."""
