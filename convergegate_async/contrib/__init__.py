"""One short module per web framework; nothing is imported before you ask for it.

Each offers the same three names: `lifespan` opens one factory with the app and drains
it at shutdown, `get_checkout` hands it to a handler, and `webhook_route` gives
deliveries to a `WebhookReceiver`, which decides what to answer.
"""
