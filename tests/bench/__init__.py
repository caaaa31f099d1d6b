"""The benchmark: bursts of deployments on the embedded control plane, beside what the API server does without us.

Run it with `make bench`. Absolute figures are the machine's; the ratios, taken in one run, are ours.
"""
