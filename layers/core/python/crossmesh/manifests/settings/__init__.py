"""crossmesh.yaml to settings: its rules, its messages, its JSON Schema."""
