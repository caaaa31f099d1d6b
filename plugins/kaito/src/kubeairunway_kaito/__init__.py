"""KAITO as a provider of KubeAIRunway."""
