"""The version, readable without importing anything."""

__version__ = "0.1.0"
PLAN_SCHEMA = "https://inithold.readthedocs.io/en/latest/reference/plan.schema.json"
"""The `$id` of the plan's schema, for editors."""
