"""Kubernetes machinery: credentials, transport, client, informer, work queue, events, lease.

Everything here speaks raw JSON objects and knows no ModelDeployment; importing a module of it must stay cheap, so the
`kubernetes` package is imported where a connection is opened, and `http_transport` alone pulls in `aiohttp`.
"""
