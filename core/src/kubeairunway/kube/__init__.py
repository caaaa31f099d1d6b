"""Kubernetes machinery: credentials, transport, client, informer, work queue, events, lease.

Everything here speaks raw JSON objects and knows no ModelDeployment; importing a module of it must stay cheap, so the
`kubernetes` and `aiohttp` packages are imported where a connection is opened.
"""
