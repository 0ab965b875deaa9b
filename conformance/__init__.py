"""Does pyos work on this cluster? Checks of what it relies on, and a whole session of its own there.

    make conformance KUBECONFIG=FILE [IMAGE=busybox NAMESPACE=name]

The kubeconfig's user must be allowed to make namespaces, roles and tokens. Everything is made in one namespace (and the
checks' own ones, ``probe`` and ``golden-*``), which is removed at the end.
"""
