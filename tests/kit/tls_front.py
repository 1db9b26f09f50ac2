"""TLS in front of a server of this machine, for clients that accept nothing else."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Queue

import trio
import trustme

Started = tuple[int, trio.lowlevel.TrioToken, trio.CancelScope]


@contextmanager
def tls_front(port: int, ca_file: Path) -> Iterator[str]:
    """Forward connections to this port of 127.0.0.1; gives the address, as ``localhost:PORT``.

    The certificate of the authority to trust is written to the file.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    started: Queue[Started] = Queue()
    thread = threading.Thread(target=trio.run, args=(_serve, port, context, started), daemon=True)
    thread.start()
    own_port, token, scope = started.get(timeout=10)
    try:
        yield f"localhost:{own_port}"
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join(10)


async def _serve(port: int, context: ssl.SSLContext, started: Queue[Started]) -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, https_compatible=True)
        forward = partial(_forward, port=port)
        (listener,) = await nursery.start(
            partial(serve, forward, 0, context, host="127.0.0.1"), name="TLS"
        )
        own_port = listener.transport_listener.socket.getsockname()[1]
        started.put((own_port, trio.lowlevel.current_trio_token(), nursery.cancel_scope))


async def _forward(client: trio.abc.Stream, port: int) -> None:
    """Until either side ends or breaks."""
    try:
        server = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        await trio.aclose_forcefully(client)
        return
    async with client, server, trio.open_nursery() as both:
        both.start_soon(_pump, client, server, both.cancel_scope)
        both.start_soon(_pump, server, client, both.cancel_scope)


async def _pump(
    source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, both: trio.CancelScope
) -> None:
    try:
        async for chunk in source:
            await sink.send_all(chunk)
    except trio.BrokenResourceError:
        pass
    both.cancel()
