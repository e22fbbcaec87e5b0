"""For every test: a machine that is busy makes no property fail."""

from hypothesis import settings

settings.register_profile("crossmesh", deadline=None)
settings.load_profile("crossmesh")
