"""The command `projpipe`: small models out of a trained projector, without Kedro, Ray, Optuna and DVC.

Not named `cli`, where Kedro looks for commands of its own.
"""
