"""Why a deployment is not Ready: one cause, found in the pods below it, in events, and in what the cluster has free.

Pure: `runtime/causes.py` gathers the evidence, `walk.find_cause` judges it.
"""
