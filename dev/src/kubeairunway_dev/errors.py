"""Exceptions of the development cluster; each message names the file to read or the flag to change.

DevError (a KubeAIRunwayError)
├── BuildError         the control plane could not be built
├── ControlPlaneError  a component did not start, or died
└── KubectlError       a kubectl call that had to succeed failed
"""

from __future__ import annotations

from kubeairunway.errors import KubeAIRunwayError


class DevError(KubeAIRunwayError):
    """Root of what this package raises on purpose."""


class BuildError(DevError):
    """A build step failed; the message carries the end of its log and the log's path."""


class ControlPlaneError(DevError):
    """A component did not become ready, or died; the message carries the end of its log."""


class KubectlError(DevError):
    """kubectl ended with another code than 0; the message is what it wrote to stderr."""
