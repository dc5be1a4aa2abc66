"""The command `projpipe`: small models out of a trained projector, without any of what trains one.

Not named `cli`, where Kedro looks for commands of its own.
"""
