"""The deployed logic under a virtual clock: shipped state machines and steps over models of the world, cut, lied to and delayed at every call."""
