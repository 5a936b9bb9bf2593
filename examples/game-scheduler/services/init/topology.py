"""The exchanges, queues and bindings that the broker needs.

Events go to the bot. A message that the bot rejects becomes a dead letter. A retried one waits in `retry_delay`
and returns, by its routing key, to the queue it came from."""

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
