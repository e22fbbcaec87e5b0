"""crossmesh: keeps AWS Cloud Map and App Mesh equal to what several EKS clusters really run, and
proves it from outside.

`core` decides and touches nothing; `steps` say what is asked of the world, in order; `adapters` ask
it; `runtime` brings them together in a function.
"""

__version__ = "0.1.0"
