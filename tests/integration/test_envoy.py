"""A real Envoy as the runner runs it: its files, what it says of them, and its end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mesh.local.envoy import Envoy
from mesh.local.errors import ConfigurationRefusedError
from mesh.local.folders import ADMIN, PodFolder, outbound_socket
from mesh.local.pods import PodSpec
from tests.support.waiting import until

TYPES = "type.googleapis.com/envoy"
BOOTSTRAP = {
    "node": {"id": "test", "cluster": "test"},
    "admin": {"address": {"pipe": {"path": ADMIN}}},
    "dynamic_resources": {
        "lds_config": {"path_config_source": {"path": "./listeners.json"}, "resource_api_version": "V3"},
        "cds_config": {"path_config_source": {"path": "./clusters.json"}, "resource_api_version": "V3"},
    },
}


def _file(version: str, *resources: object) -> str:
    return f'{{"version_info": "{version}",\n"resources": {json.dumps(resources)}}}\n'


def _listener() -> dict[str, Any]:
    router = {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "rds": {
            "route_config_name": "80",
            "config_source": {"path_config_source": {"path": "./routes/80.json"}, "resource_api_version": "V3"},
        },
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    return {
        "@type": f"{TYPES}.config.listener.v3.Listener",
        "name": "test",
        "address": {"pipe": {"path": outbound_socket(80)}},
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }


def _files(status: int) -> dict[str, str]:
    """The files of an Envoy that answers everything with this status."""
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": status}}
    routes = {
        "@type": f"{TYPES}.config.route.v3.RouteConfiguration",
        "name": "80",
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}],
    }
    return {
        "bootstrap.json": json.dumps(BOOTSTRAP),
        "clusters.json": _file("none"),
        "routes/80.json": _file(str(status), routes),
        "listeners.json": _file("one", _listener()),
    }


@asynccontextmanager
async def _running(home: Path, files: Mapping[str, str]) -> AsyncIterator[Envoy]:
    (home / "logs").mkdir()
    spec = PodSpec("test", 0, "127.0.0.1", (), (), {}, home, home / "logs" / "test-0.log")
    envoy = Envoy(spec, PodFolder(home, "test-0"), home / "logs" / "test-0.envoy.log")
    envoy.write(files)
    envoy.process.start()
    try:
        yield envoy
    finally:
        await envoy.process.stop()
        envoy.folder.close()


async def _status(envoy: Envoy) -> int:
    transport = httpx2.AsyncHTTPTransport(uds=f"{envoy.folder.short}/{outbound_socket(80)}")
    async with httpx2.AsyncClient(transport=transport) as client:
        return (await client.get("http://any/")).status_code


async def test_a_change_is_in_force_once_it_settles(tmp_path: Path) -> None:
    """After `settle` every request meets what was written last; what is written again changes nothing."""
    async with _running(tmp_path, _files(201)) as envoy:
        await until("a ready Envoy", envoy.is_ready)
        met = [await _status(envoy)]
        for status in (202, 203, 204):
            assert envoy.write(_files(status))
            await envoy.settle()
            met.append(await _status(envoy))
        assert not envoy.write(_files(204))
        assert met == [201, 202, 203, 204]


async def test_what_an_envoy_refuses_is_told_with_its_reason(tmp_path: Path) -> None:
    """A file that it does not take is an error in Envoy's words; what was active stays so, and may be put back."""
    async with _running(tmp_path, _files(201)) as envoy:
        await until("a ready Envoy", envoy.is_ready)
        envoy.write(_files(99))
        with pytest.raises(ConfigurationRefusedError, match=r"test-0: .*Status: value must be inside range"):
            await envoy.settle()
        assert await _status(envoy) == 201
        envoy.write(_files(201))
        await envoy.settle()


async def test_first_files_that_are_refused_end_the_wait(tmp_path: Path) -> None:
    """An Envoy that does not take its first files is never ready, and says why."""
    async with _running(tmp_path, {**_files(201), "clusters.json": _file("bad", {"name": "typeless"})}) as envoy:

        async def refused() -> bool:
            assert not await envoy.is_ready()
            return bool(envoy.refusal)

        await until("the refusal", refused)
        assert "test-0: " in envoy.refusal


async def test_an_envoy_that_is_killed_comes_back(tmp_path: Path) -> None:
    """It is started again, takes the files as they are then, and listens at the same sockets."""
    async with _running(tmp_path, _files(201)) as envoy:
        await until("a ready Envoy", lambda: envoy.process.ready)
        assert envoy.process.mark is not None
        before = envoy.process.mark.pid
        os.kill(before, signal.SIGKILL)

        def is_another() -> bool:
            return envoy.process.ready and envoy.process.mark is not None and envoy.process.mark.pid != before

        await until("another Envoy", is_another)
        assert envoy.process.restarts == 1
        assert await _status(envoy) == 201


async def test_only_the_owner_may_enter(tmp_path: Path) -> None:
    """While it runs, nothing of its folder is open to other users of the machine."""
    async with _running(tmp_path, _files(201)) as envoy:
        await until("a ready Envoy", envoy.is_ready)
        folders = [path for path in (envoy.folder.path, *envoy.folder.path.iterdir()) if path.is_dir()]
        assert {path.stat().st_mode & 0o077 for path in folders} == {0}
