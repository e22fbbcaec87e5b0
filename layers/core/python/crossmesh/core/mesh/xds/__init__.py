"""What own Envoys are given for the declared mesh: App Mesh's management service, as values in
Envoy's JSON. Pure.
"""
