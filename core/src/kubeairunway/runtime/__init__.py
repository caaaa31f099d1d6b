"""The controller process: the only place where what is decided meets the cluster.

Reads come from caches, `decide` turns them into a plan, and one executor carries it out.
"""
