"""`inithold new`: reads a Compose stack and drafts the plan of its init service."""
