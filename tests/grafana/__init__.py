"""The Grafana example: its dashboard, its data sources and its alert rules, against what runs really send."""
