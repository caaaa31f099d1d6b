"""Kubernetes words without Kubernetes calls: JSON objects, references, conditions, quantities, comparison.

Pure functions and values only; nothing here knows of models, providers or sockets.
"""
