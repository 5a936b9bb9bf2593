"""What the broker must have.

An event goes to the bot. What the bot rejects is a dead letter. What is retried waits in `retry_delay` and goes
back, by its routing key, to the queue that it came from."""

exchanges = [
    {"name": "game_events", "type": "topic"},
    {"name": "game_events.dlx", "type": "fanout"},
    {"name": "game_events.retry", "type": "fanout"},
]
queues = [
    {"name": "bot_events", "arguments": {"x-dead-letter-exchange": "game_events.dlx"}},
    {"name": "dead_letters"},
    {"name": "retry_delay", "arguments": {"x-dead-letter-exchange": ""}},
    {"name": "parked_events"},
]
bindings = [
    {"exchange": "game_events", "queue": "bot_events", "routing_key": "game.#"},
    {"exchange": "game_events.dlx", "queue": "dead_letters"},
    {"exchange": "game_events.retry", "queue": "retry_delay"},
]
