"""One short module per web framework or store; nothing is imported unless asked for.

`redis` has webhook claims that processes share, and `otel` an observer that makes spans
and metrics of calls. Each of the others offers the same three names: `lifespan` opens
one factory with the app and drains it at shutdown, `get_checkout` hands it to a
handler, and `webhook_route` gives deliveries to a `WebhookReceiver`, which decides what
to answer; an error of its handler is raised there, for the framework to answer 500 and
report it.
"""
