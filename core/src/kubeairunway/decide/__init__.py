"""The thinking: Snapshot -> Plan. Defaults, validation, selection, rendering, drift, status, deletion.

Pure: the clock, the cluster's facts and the way to call a provider are arguments; nothing here does I/O.
"""
