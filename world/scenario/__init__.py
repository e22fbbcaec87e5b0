"""Scenarios as data: `world/scenarios/*.yaml`, each a demo to watch (`make scenario NAME=…`) and an end-to-end test, under a steady load from outside."""
