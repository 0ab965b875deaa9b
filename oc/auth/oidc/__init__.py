"""OAuth 2.0 and OpenID Connect from the client's side: no HTTP framework, no configuration, no user accounts.

RFC 6749 (code flow), RFC 7636 (PKCE), RFC 9207 (``iss`` in answers), RFC 9700 (current practice),
OpenID Connect Core 1.0 and Discovery 1.0.
"""
