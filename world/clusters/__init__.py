"""Two clusters on one machine: an embedded Kubernetes API each, and kubelets whose pods are real HTTP servers."""
