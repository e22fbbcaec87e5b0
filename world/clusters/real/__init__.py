"""Clusters of the real thing: kube-apiserver, etcd, controllers, scheduler, fake kubelets, and EKS's own token webhook, all on loopback."""
