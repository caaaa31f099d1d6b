"""A real Kubernetes control plane on a laptop, and stand-ins for the operators that providers target.

`kubeairunway_dev.controlplane` starts and stops the cluster; `kubeairunway_dev.standins` plays upstream operators.
"""
