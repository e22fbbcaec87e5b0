"""Second opinions: what others wrote judges template, state machines, patterns and policies."""
