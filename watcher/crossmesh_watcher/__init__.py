"""crossmesh's watcher: sees pods change in one cluster and says "look now" on the stack's hint bus.

It is optional and knows nothing: a hint carries no data to apply, losing all of them costs one
schedule period, and nothing is kept when it ends. It only reads pods and only puts events. It
shares no code with the package `crossmesh`, so that its image stays small.
"""
