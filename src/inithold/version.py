"""The version, readable without importing anything."""

__version__ = "0.1.0"
DOCUMENTATION = "https://inithold.readthedocs.io/en/latest/"
"""Where the pages will be from the first release on. No other place names an address of the project: tests/docs
looks."""
PLAN_SCHEMA = f"{DOCUMENTATION}reference/plan.schema.json"
"""The `$id` of the plan's schema, for editors."""
