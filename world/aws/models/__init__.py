"""What AWS services do, as plain objects under a clock that is given: no HTTP, no threads, no wall clock.

A server puts them on the wire; a simulator drives the same objects in virtual time.
"""
