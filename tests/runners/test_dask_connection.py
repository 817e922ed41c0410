"""What is told where Dask's scheduler cannot be used: one sentence."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import dask
import pytest
import pytest_asyncio
from clusters import cluster_of, security_by, settings_in
from distributed import LocalCluster, Scheduler
from programs import started

import convergegate_async
from convergegate_async import ConfigurationError
from convergegate_async.runners import DaskRunner
from convergegate_async.sandbox import Sandbox

# A cluster takes seconds to start: one serves all tests.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(200)]

TLS = "distributed.comm.tls"
NOBODY = "tls://127.0.0.1:1"
WORKER = (
    *(sys.executable, "-m", "dask", "worker"),
    *("--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", "127.0.0.1"),
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Dask's settings of TLS, as the cluster has them, too."""
    return settings_in(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Those of another cluster, under another authority."""
    return settings_in(tmp_path_factory.mktemp("tls") / "others")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalCluster]:
    """A cluster that speaks TLS."""
    folder = tmp_path_factory.mktemp("dask")
    async with cluster_of(1, folder, security_by(settings)) as cluster:
        yield cluster


async def refusal(address: str, settings: dict[str, object]) -> str:
    """Return what is told of an address under *settings*."""
    with (
        dask.config.set(settings),
        pytest.raises(ConfigurationError) as caught,
    ):
        async with DaskRunner(address):
            pass
    return str(caught.value)


async def test_certificates_of_dask_s_settings_are_used(
    cluster: LocalCluster, settings: dict[str, str]
) -> None:
    """With them, tls:// is as good as tcp://."""
    with dask.config.set(settings):
        async with DaskRunner(cluster.scheduler_address) as runner:
            assert await runner.everywhere(str.upper, "heard") == ["HEARD"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ((), ("ca-file", "client.cert")),
        (("ca-file",), ("client.cert",)),
        (("client.cert", "client.key"), ("ca-file",)),
    ],
    ids=str,
)
async def test_certificates_that_are_missing_are_named(
    given: tuple[str, ...], missing: tuple[str, ...], settings: dict[str, str]
) -> None:
    """And where they are to be named: in Dask's files, or in the environment."""
    some = {f"{TLS}.{name}": settings[f"{TLS}.{name}"] for name in given}

    message = await refusal(NOBODY, {**some})

    words = " and ".join(f"{TLS}.{name}" for name in missing)
    variables = [
        f"DASK_{TLS}.{name}".upper().replace(".", "__").replace("-", "_")
        for name in missing
    ]
    assert message == (
        f"a tls:// address needs certificates: set {words} in Dask's configuration, or "
        f"{' and '.join(variables)}"
    )


@pytest.mark.parametrize("name", ["ca-file", "client.cert", "client.key"])
@pytest.mark.parametrize("address", [NOBODY, "tcp://127.0.0.1:1", "local:1"])
async def test_a_file_of_certificates_that_cannot_be_read_is_named(
    address: str, name: str, settings: dict[str, str], tmp_path: Path
) -> None:
    """Dask reads them whatever the address."""
    path = tmp_path / "none.pem"

    message = await refusal(address, {**settings, f"{TLS}.{name}": str(path)})

    words = "cannot be read: No such file or directory"
    assert message == f"{path}, which is Dask's {TLS}.{name}, {words}"


async def test_certificates_that_are_none_are_refused(
    settings: dict[str, str], others: dict[str, str], tmp_path: Path
) -> None:
    """A file of anything else, a key of another certificate, an unknown version."""
    path = tmp_path / "none.pem"
    path.write_text("no certificate")
    wrong: list[dict[str, object]] = [
        {f"{TLS}.ca-file": str(path)},
        {f"{TLS}.client.key": others[f"{TLS}.client.key"]},
        {f"{TLS}.min-version": 1.1},
    ]

    for one in wrong:
        message = await refusal(NOBODY, {**settings, **one})
        assert message.startswith(f"Dask's settings of TLS ({TLS}) cannot be used: ")
        assert "\n" not in message


async def test_what_has_to_be_encrypted_is() -> None:
    """Dask itself would refuse it by an error of its own."""
    asked = {"distributed.comm.require-encryption": True}

    message = await refusal("tcp://127.0.0.1:1", {**asked})

    assert message.endswith("distributed.comm.require-encryption asks for: use tls://")


async def test_a_scheduler_that_is_not_trusted_is_told(
    cluster: LocalCluster, settings: dict[str, str], others: dict[str, str]
) -> None:
    """Or that does not trust us: both are of TLS, and not of the network."""
    address, ca_file = cluster.scheduler_address, f"{TLS}.ca-file"
    words = f"no Dask scheduler with workers answers at {address}"

    theirs = await refusal(address, {**settings, ca_file: others[ca_file]})
    ours = await refusal(address, {**others, ca_file: settings[ca_file]})

    assert theirs.startswith(f"{words}: {ca_file} does not vouch for it (")
    assert ours.startswith(words)


async def test_a_scheme_that_the_scheduler_does_not_speak_is_told(
    cluster: LocalCluster, settings: dict[str, str]
) -> None:
    """Plain where it speaks TLS, and TLS where something speaks plain."""
    plain = cluster.scheduler_address.replace("tls://", "tcp://")

    message = await refusal(plain, {})
    async with Sandbox() as sandbox:
        place = sandbox.base_url.removeprefix("http://")
        by_tls = await refusal(f"tls://{place}", {**settings})
        unknown = await refusal(f"tcp://{place}", {})

    assert message == f"no Dask scheduler with workers answers at {plain}"
    assert by_tls.startswith(f"no Dask scheduler with workers answers at tls://{place}")
    assert "by TLS (" in by_tls
    assert unknown.startswith(f"what answers at tcp://{place} is no Dask scheduler")


@pytest.mark.parametrize("have", ["another version", "nothing"])
async def test_workers_need_this_package(have: str, tmp_path: Path) -> None:
    """What would fail in the middle of a job is told before its first row."""
    package = tmp_path / "convergegate_async"
    if have == "nothing":
        package.mkdir()
        (package / "__init__.py").touch()
    else:
        shutil.copytree(Path(convergegate_async.__file__).parent, package)
        (package / "_version.py").write_text('__version__ = "0.0.9"\n')
    async with Scheduler(
        host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0"
    ) as scheduler:
        words = (*WORKER, scheduler.address, "--local-directory", str(tmp_path))
        with started(*words, cwd=tmp_path):  # what is there is imported first
            while not scheduler.workers:  # noqa: ASYNC110 -- another process
                await asyncio.sleep(0.02)
            [worker] = scheduler.workers
            message = await refusal(scheduler.address, {})

    version = convergegate_async.__version__
    needed = f"Dask's workers need convergegate-async {version}"
    if have == "nothing":
        assert message.startswith(f"{needed}: ")
        assert "No module named 'convergegate_async.runners'" in message
    else:
        assert message == f"{needed}, and {worker} has 0.0.9"
