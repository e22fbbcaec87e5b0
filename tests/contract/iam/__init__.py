"""Every right of every deployed function is needed, and none is missing."""
