"""The container images, built and run on this machine without a registry.

The base images of the Dockerfiles come from registries. Where none can be reached a base made from the packages of
this machine's own release (mmdebstrap) stands in for ``ubuntu:24.04``, and that base with Debian's winbind in /dist for
the NTLM stage. Everything else of Dockerfile.ubuntu is executed as it is written.
"""
