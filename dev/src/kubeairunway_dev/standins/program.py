"""Stand-ins as programs: flags, signals, a client of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway_dev.standins.switches import Switches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from kubeairunway_dev.standins.standin import StandIn

    Make = Callable[[Client, Switches], Awaitable[StandIn]]


@contextlib.asynccontextmanager
async def open_client(kubeconfig: Path | None, name: str) -> AsyncIterator[Client]:
    """Yield a client whose field manager is `name`, closed afterwards."""
    transport = open_transport(load_config(kubeconfig))
    try:
        yield Client(transport, field_manager=name)
    finally:
        await transport.close()


async def run(
    name: str, make: Make, *, kubeconfig: Path | None, switches: Switches, stop: asyncio.Event | None = None
) -> None:
    """Play an operator until `stop` is set, or for ever."""

    async def play(client: Client) -> None:
        await (await make(client, switches)).run()

    async with open_client(kubeconfig, f"{name}-stand-in") as client:
        task = asyncio.create_task(play(client))
        stopped = asyncio.create_task((stop or asyncio.Event()).wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def run_until_signal(name: str, make: Make, options: argparse.Namespace) -> None:
    """Play an operator until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    switches = Switches(
        delay=options.delay, pods=options.pods, fail=options.fail, hold=options.hold, defaults=options.defaults
    )
    await run(name, make, kubeconfig=options.kubeconfig, switches=switches, stop=stop)


def make_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser that all stand-ins share."""
    parser = argparse.ArgumentParser(
        prog=f"python -m kubeairunway_dev.standins.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kubeconfig", type=Path, help="default: KUBECONFIG")
    parser.add_argument("--delay", type=float, default=0.5, metavar="SECONDS", help="from change to ready; default 0.5")
    parser.add_argument("--pods", action="store_true", help="run pods too (needs nodes); ready not before they are")
    parser.add_argument("--fail", default="", metavar="MESSAGE", help="let every object fail with this message")
    parser.add_argument("--hold", action="store_true", help="keep a finalizer on every object: deletion never ends")
    parser.add_argument("--defaults", action="store_true", help="fill in fields, as upstream's admission does")
    return parser


def main(name: str, make: Make, description: str | None) -> None:
    """Run a stand-in as a program."""
    options = make_parser(name, description).parse_args()
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {name} stand-in: %(message)s")
    asyncio.run(run_until_signal(name, make, options))
