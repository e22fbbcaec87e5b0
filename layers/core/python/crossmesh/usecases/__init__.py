"""What the states of the state machines and the command line share: observation, lease, state
documents.
"""
