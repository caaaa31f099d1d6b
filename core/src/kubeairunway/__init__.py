"""KubeAIRunway: one Kubernetes resource serves a language model on any inference platform.

Nothing is imported here: the command line starts fast because each command imports what it needs.
"""
