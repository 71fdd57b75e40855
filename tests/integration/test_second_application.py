"""A second application runs on mesh, with no file of mesh changed: its own protos, service, topic, errors and command.

One story over a real process, a real broker, gRPC and SQLite; the application is tests/support/guestbook.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import grpc

from mesh.cli import laptop
from mesh.cli.exits import Exit
from mesh.cli.output import Output
from mesh.cli.program import build, execute
from mesh.local.identities import KAFKA_RUNNER
from tests.support.buf import ROOT
from tests.support.guestbook.commands import APPLICATION
from tests.support.guestbook.events import SIGNED
from tests.support.guestbook.v1 import guestbook_pb2, guestbook_pb2_grpc
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.broker import TestBroker


@dataclass
class Guestbook:
    """The running service, and its command."""

    folder: Path
    address: str

    def rostrum(self, *arguments: str) -> tuple[Exit, str, str]:
        """Runs the application's command: its exit code, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        environ = {"ROSTRUM_HOME": str(self.folder / "home")}
        world = laptop.world(environ, Output(out, err), "rostrum", APPLICATION.first_command)
        world = replace(world, dial=lambda _service: grpc.aio.insecure_channel(self.address))
        return execute(build(APPLICATION), arguments, world), out.getvalue(), err.getvalue()

    def guest(self, name: str) -> guestbook_pb2.Guest:
        """The guest, as the service has it."""
        with grpc.insecure_channel(self.address) as channel:
            stub = guestbook_pb2_grpc.GuestbookServiceStub(channel)
            return stub.GetGuest(guestbook_pb2.GetGuestRequest(name=name), timeout=10)


@contextmanager
def serving(folder: Path, broker: TestBroker) -> Iterator[Guestbook]:
    """A process of the service; it ends as asked by SIGTERM."""
    for topic in (SIGNED, SIGNED.dead_letters):
        config = {"retention_ms": str(topic.retention_ms), "max_message_bytes": str(topic.max_message_bytes)}
        broker.make(topic.name, partitions=topic.partitions, **config)
    address = f"unix:{folder / 'grpc.sock'}"
    environ = {
        **os.environ,
        "SERVICE_NAME": "guestbook",
        "POD_NAME": "guestbook-0",
        "LISTEN_ADDRESS": address,
        "DATABASE_URL": f"sqlite:///{folder / 'guestbook.db'}",
        "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "KAFKA_TLS_FOLDER": str(broker.folder / KAFKA_RUNNER),
    }
    command = [sys.executable, "-m", "tests.support.guestbook"]
    process = subprocess.Popen(command, env=environ, cwd=ROOT)
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
        yield Guestbook(folder, address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()


def test_the_story_of_the_second_application(tmp_path: Path, broker: TestBroker) -> None:
    """The command asks the service, which commits the guest with its record; the record goes by the topic that its
    proto declares and is consumed; the service's refusals reach the command as one line and an exit code; a restart
    keeps all of it."""
    with serving(tmp_path, broker) as guestbook:
        assert guestbook.rostrum("sign", "ada", "Hello.") == (Exit.OK, "guests/ada wrote: Hello.\n", "")
        wait_until("the record to come back", lambda: guestbook.guest("guests/ada").announced, seconds=30)

        code, out, err = guestbook.rostrum("sign", "ada", "Again.")
        assert (code, out) == (Exit.USAGE, "")
        assert err == "rostrum: ada has signed before: sign under another name\n"
        code, out, err = guestbook.rostrum("sign", "Ada!", "Hello.")
        assert (code, out) == (Exit.USAGE, "")
        assert err == "rostrum: name is 'guests/Ada!', not of the form guests/{guest}\n"

    code, _, err = guestbook.rostrum("sign", "bob", "Is anybody there?")
    assert code is Exit.UNAVAILABLE
    assert err.startswith("rostrum: the service does not answer")

    with serving(tmp_path, broker) as guestbook:
        guest = guestbook.guest("guests/ada")
        assert (guest.text, guest.announced) == ("Hello.", True)
        code, _, err = guestbook.rostrum("debate", "Cats")
        assert code is Exit.USAGE
        assert "debate" in err
