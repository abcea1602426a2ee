"""Packages of Debian, fetched into a folder of ours: nothing is installed, and nobody is asked.

Where the mirrors are is what the machine's own apt knows. Everything that apt would keep in the
system it keeps in our folder instead, so any user may do it.
"""

import hashlib
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

FOLDER = Path("build/debian")

SECONDS = 300.0
"""Time for each of apt's two steps."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What Debian calls what the kernel calls."""

SETTINGS = """\
Dir::State "{folder}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{folder}/cache";
APT::Sandbox::User "root";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
"""For apt, read after the system's: state of its own, and none of the system's hooks."""


class NotToBeHad(RuntimeError):  # noqa: N818
    """A package cannot be had on this machine. The message says why."""


@dataclass(frozen=True)
class Package:
    """A package, pinned: one version, and one digest of its archive.

    Parameters
    ----------
    name, version, architecture
        As Debian has them; the architecture is ``"all"`` for what runs anywhere.
    sha256
        Of the ``.deb`` file.
    """

    name: str
    version: str
    architecture: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.architecture})"


def fetch(package: Package, folder: Path = FOLDER) -> Path:
    """The folder in which the package lies unpacked, as it would in ``/``.

    It is fetched once; processes that want it at the same time wait for the first.

    Raises
    ------
    NotToBeHad
        This is not Debian or a relative of it, or one of another architecture; no source of
        packages answers, or has this version; the archive is not the one that was pinned.
    """
    root = folder.resolve() / f"{package.name}-{package.sha256[:16]}"
    if root.is_dir():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not root.is_dir():
            _need_machine(package)
            with tempfile.TemporaryDirectory(dir=folder.resolve()) as work:
                archive = _download(package, folder.resolve(), Path(work))
                _unpack(package, archive, root)
    return root


def _need_machine(package: Package) -> None:
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise NotToBeHad(f"{package} needs {' and '.join(missing)}, as Debian and Ubuntu have.")
    machine = ARCHITECTURES.get(platform.machine(), platform.machine())
    if package.architecture not in ("all", machine):
        raise NotToBeHad(f"{package} does not run on this machine, which is {machine}.")


def _download(package: Package, folder: Path, work: Path) -> Path:
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    settings = work / "apt.conf"
    settings.write_text(SETTINGS.format(folder=folder))
    wanted = package.name if package.architecture == "all" else _qualified(package)
    apt = ["apt-get", "-qq", "-c", str(settings)]
    _run(package, [*apt, "update"], work)
    _run(package, [*apt, "download", f"{wanted}={package.version}"], work)
    return next(work.glob("*.deb"))


def _qualified(package: Package) -> str:
    return f"{package.name}:{package.architecture}"


def _unpack(package: Package, archive: Path, root: Path) -> None:
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != package.sha256:
        raise NotToBeHad(f"{package} has SHA-256 {found}, not {package.sha256}; it was not used.")
    unpacked = archive.parent / "root"
    _run(package, ["dpkg-deb", "-x", str(archive), str(unpacked)], archive.parent)
    unpacked.rename(root)


def _run(package: Package, command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NotToBeHad(f"{package}: {command[0]} took more than {SECONDS:.0f} s.") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        why = lines[0][2:].strip() if lines else f"{command[0]} ended with {done.returncode}"
        raise NotToBeHad(f"{package} is not to be had here: {why}")
