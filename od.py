#!/usr/bin/env python3
"""pyos: boot, serve, stop.

    od.py                          serve with od.config, or the file that OD_CONFIG_PATH names
    od.py --check-config [FILE]    report everything wrong with a configuration file
    od.py --print-config [FILE]    the effective configuration, secrets masked
    od.py --check-backends [FILE]  one line for each part pyos depends on: Kubernetes with our rights, MongoDB, ...
    od.py --generate-keys DIR      new key pairs for the tokens, and the commands that make Secrets of them

Exit status: 0 after a graceful stop, 255 for a configuration that cannot be used or an unconfigured Kubernetes
client, 1 for a file that cannot be used and for anything unforeseen.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import cherrypy

import controllers
from controllers.root import Root
from oc.logging import bootstrap_logging, configure_logging
from oc.od.commands import check_backends, generate_keys
from oc.od.memory import settle
from oc.od.reloading import Reloader
from oc.od.services import EXIT_UNUSABLE_FILE, BootError, services
from oc.od.settings import ConfigurationError, Settings, load_settings
from oc.od.settings.commands import check_config, print_config
from oc.od.settings.declaration import Level
from oc.od.settings.files import check_files
from oc.web.application import make_api
from oc.web.bus import ODCherryWatcher, StopSignals, signals_while_booting
from oc.web.lanes import default_lanes, pool_size
from oc.web.server import configure_server

EXIT_FATAL = 255
DEFAULT_CONFIG = "od.config"
logger = logging.getLogger("od")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="od.py", description="control plane of a container desktop platform")
    default = os.environ.get("OD_CONFIG_PATH") or DEFAULT_CONFIG
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--check-config", metavar="FILE", nargs="?", const=default, help="check a file and leave")
    group.add_argument("--print-config", metavar="FILE", nargs="?", const=default, help="show what a file amounts to")
    group.add_argument("--check-backends", metavar="FILE", nargs="?", const=default, help="look at what pyos needs")
    group.add_argument("--generate-keys", metavar="DIR", type=Path, help="write new key pairs into a directory")
    options = parser.parse_args(arguments)
    if options.check_config:
        return check_config(Path(options.check_config))
    if options.print_config:
        return print_config(Path(options.print_config))
    if options.check_backends:
        return check_backends(Path(options.check_backends))
    if options.generate_keys:
        return generate_keys(options.generate_keys)
    return serve()


def serve() -> int:
    """Boot in the binding order of services.md 1.2, then block until a signal."""
    signals_while_booting()
    bootstrap_logging()
    try:
        settings = load_settings()
        configure_logging(settings.logging)
        for warning in settings.warnings:
            logger.warning("%s", warning)
        if _files_unusable(settings):
            return EXIT_UNUSABLE_FILE
        services.build(settings)
    except ConfigurationError as error:
        logger.critical("the configuration cannot be used:\n%s", error)
        return EXIT_FATAL
    except BootError as error:
        logger.critical("%s", error)
        return error.exit_code
    start_http(settings)
    cherrypy.engine.block()
    logger.info("stopped")
    logging.shutdown()
    return 0


def _files_unusable(settings: Settings) -> bool:
    """Log everything wrong with the files that the configuration names; True when one of them is indispensable."""
    levels = {Level.ERROR: logging.CRITICAL, Level.WARNING: logging.WARNING, Level.ADVICE: logging.INFO}
    problems = check_files(settings)
    for problem in problems:
        logger.log(levels[problem.level], "%s", problem)
    return any(problem.level is Level.ERROR for problem in problems)


def start_http(settings: Settings) -> None:
    """Mount the API and start the engine: services first, then the port."""
    lanes = default_lanes(settings.server.thread_pool)
    threads = pool_size(settings.server.thread_pool, lanes)
    configure_server(settings, threads, make_api(services, Root(), controllers, lanes=lanes))
    signals = StopSignals(reload=Reloader(services).request)
    ODCherryWatcher(cherrypy.engine, services).subscribe()
    cherrypy.engine.start()
    if signals.requested:
        cherrypy.engine.exit()
        return
    settle()
    host, port = cherrypy.server.bound_addr
    logger.info("serving on %s port %d with %d threads", host, port, threads)


if __name__ == "__main__":
    sys.exit(main())
