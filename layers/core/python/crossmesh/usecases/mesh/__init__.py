"""The mesh: a driver a backend, which observes and applies. `drivers` has them by name."""
