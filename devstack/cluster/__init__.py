"""The development cluster: an HTTP server that speaks the Kubernetes REST API over an in-memory store."""
