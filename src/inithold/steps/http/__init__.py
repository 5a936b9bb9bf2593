"""HTTP services: readiness and resources."""

from inithold.steps.http.ready import Ready
from inithold.steps.http.resource import Resource, Write

__all__ = ["Ready", "Resource", "Write"]
