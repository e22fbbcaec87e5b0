"""Serves snapshots of a mesh to Envoys: aggregated discovery over gRPC, state of the world.

The server decides nothing. It reads what crossmesh published, checks it, and hands it out in an
order that loses no request. It shares no code with the package; docs/reference/snapshots.md is what
both follow.
"""
