"""Decisions, and nothing that touches the world.

docs/explanation/architecture.md shows where each part stands in the flow of data. "Rule 6" in a
comment is a section of docs/explanation/the-thirteen-rules.md, and docs/reference/glossary.md has
the words. The same page of rules has the legend of names such as `AMC#123`.
"""
