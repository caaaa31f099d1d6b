"""Stand-ins for upstream operators: our own minimal CRDs, and programs that write the status the real ones write.

They prove nothing about the real operators; checks against the real CRDs are a test's business.
"""

from pathlib import Path

CRDS = Path(__file__).parent / "crds"
"""The directory of the stand-in CRDs, for `Cluster.install_crds`; each file is one."""
