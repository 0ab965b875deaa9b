"""Between cheroot's request and the API's: no WSGI environment in between."""

from __future__ import annotations

from cheroot.server import Gateway

from oc.web.exchange import Arrival, Exchange, Headers


class ApiGateway(Gateway):
    """Has one request answered by the ``api`` of its server."""

    def respond(self) -> None:
        """See cheroot.server.Gateway."""
        request = self.req
        arrival = Arrival(
            method=request.method.decode("latin-1"),
            target=request.uri.decode("latin-1"),
            protocol=request.request_protocol.decode("latin-1"),
            headers=Headers(
                {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in request.inheaders.items()}
            ),
            peer=(str(request.conn.remote_addr or ""), int(request.conn.remote_port or 0)),
            stream=request.body,
        )
        exchange = Exchange(request.server.api, arrival)
        try:
            request.answer(exchange.serve())
        finally:
            exchange.end()
