"""AWS App Mesh as a mesh backend: its requests, its state, and the order of its changes."""
