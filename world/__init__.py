"""The whole system on one machine: emulated AWS, two clusters with real pods, real Envoy. Never deployed."""
