"""Binds the port and runs the application in this process or in several, until SIGTERM or Ctrl-C."""

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click
import uvicorn
from uvicorn.supervisors import Multiprocess

from online.service.app import LOG_LEVEL, create_app
from online.service.asking import Asker
from shared.config import Config
from shared.errors import UnavailableError

KEEP_ALIVE_S = 15


def serve(config: Config, config_path: str | Path | None = None) -> None:
    """Serve until told to stop; then requests in hand are finished, and buffered impressions and feedback sent.

    Parameters
    ----------
    config : where to listen, in how many processes, and everything else.
    config_path : the file that `config` was read from, which further processes read too; None for the usual place.

    Raises
    ------
    ConfigError : something in the configuration cannot be.
    UnavailableError : the address cannot be listened at.
    """
    serving = config.serve
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(serving.host, serving.port))
        # uvicorn sends itself the signal again when it has stopped in order: an end that was asked for is no failure.
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _end))
        host, port = listener.getsockname()[:2]
        several = serving.workers > 1
        asker = Asker(config)  # here and now, so that what is wrong with the configuration is told at once
        if several:
            asyncio.run(asker.close())
            # Each process counts for itself; this folder is where `/metrics` finds all of them.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="marquee-metrics-"))
            os.environ[LOG_LEVEL] = logging.getLevelName(logging.getLogger().level)
            if config_path is not None:
                os.environ["MARQUEE_CONFIG"] = str(config_path)
        settings = uvicorn.Config(
            "online.service.app:from_environment" if several else create_app(config, asker),
            factory=several,
            workers=serving.workers,
            http="h11",  # bounds the header of a request, which uvicorn's other parser does not
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=serving.connections,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=serving.stop_s,
        )
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"listening at http://{shown}:{port}/ ({serving.workers} process{'es' if several else ''})")
        if several:
            Multiprocess(settings, sockets=[listener]).run()
        else:
            uvicorn.Server(settings).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)  # unknown names have others
        raise UnavailableError(f"{host} port {port} cannot be listened at: {reason}") from None
    listener.set_inheritable(True)
    # Connections inherit it. Without it the body of a reply, which follows its header, waits 40 ms for the client's delayed
    # acknowledgement; asyncio would only set it on sockets that were made with the protocol named.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
