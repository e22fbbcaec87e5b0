"""The driver of App Mesh."""
