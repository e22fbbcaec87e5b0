"""See docs/explanation/architecture.md for where each part stands in the flow of data."""
