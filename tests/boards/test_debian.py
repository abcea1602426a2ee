"""Packages of Debian: fetched once, checked, and unpacked; with an apt that answers from here."""

import hashlib
import threading
from dataclasses import replace

import pytest

from boards import debian

CONTENT = "an archive"
BELL = debian.Package("bell", "1.0-1", "all", hashlib.sha256(CONTENT.encode()).hexdigest())

APT = f"""#!/bin/sh
echo "$@" >> {{calls}}
cat "$3" >> {{calls}}
case "$*" in
*update) ;;
*download\\ bell=1.0-1) printf '{CONTENT}' > bell_1.0-1_all.deb ;;
*) echo "W: slow today" >&2; echo "E: Version '2' for 'bell' was not found" >&2; exit 100 ;;
esac
"""

DPKG = """#!/bin/sh
mkdir -p "$3/usr/bin" && cp "$2" "$3/usr/bin/bell"
"""


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """What the programs were called with, which stand in for apt and dpkg."""
    log = tmp_path / "calls"
    for name, text in {"apt-get": APT.format(calls=log), "dpkg-deb": DPKG}.items():
        program = tmp_path / "programs" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:/usr/bin:/bin")
    return log


def refusal(package, folder):
    with pytest.raises(debian.NotToBeHad) as refused:
        debian.fetch(package, folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_package_is_unpacked_and_fetched_only_once(calls, tmp_path):
    root = debian.fetch(BELL, tmp_path / "debian")
    assert (root / "usr/bin/bell").read_text() == CONTENT
    before = calls.read_text()
    assert debian.fetch(BELL, tmp_path / "debian") == root
    assert calls.read_text() == before


def test_apt_keeps_everything_in_our_folder_and_runs_no_hooks(calls, tmp_path):
    debian.fetch(BELL, tmp_path / "debian")
    said = calls.read_text()
    assert f'Dir::State "{tmp_path}/debian/state";' in said
    assert f'Dir::Cache "{tmp_path}/debian/cache";' in said
    assert "#clear APT::Update::Post-Invoke;" in said


def test_those_who_come_at_once_fetch_it_once(calls, tmp_path):
    threads = [
        threading.Thread(target=debian.fetch, args=(BELL, tmp_path / "debian")) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls.read_text().count("download") == 1


def test_archive_that_is_not_the_pinned_one_is_not_used(calls, tmp_path):
    said = refusal(replace(BELL, sha256="0" * 64), tmp_path / "debian")
    assert said == f"bell 1.0-1 (all) has SHA-256 {BELL.sha256}, not {'0' * 64}; it was not used."
    assert not list(tmp_path.rglob("bell*"))


def test_version_that_no_source_has_is_named(calls, tmp_path):
    said = refusal(replace(BELL, version="2"), tmp_path / "debian")
    assert said == "bell 2 (all) is not to be had here: Version '2' for 'bell' was not found"


def test_machine_without_apt_is_told_so(calls, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refusal(BELL, tmp_path / "debian")
    assert said == "bell 1.0-1 (all) needs apt-get and dpkg-deb, as Debian and Ubuntu have."


def test_package_for_another_machine_is_not_fetched(calls, monkeypatch, tmp_path):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    said = refusal(replace(BELL, architecture="amd64"), tmp_path / "debian")
    assert said == "bell 1.0-1 (amd64) does not run on this machine, which is riscv64."
    assert not calls.exists()


def test_apt_that_does_not_answer_is_given_up(calls, monkeypatch, tmp_path):
    (tmp_path / "programs/apt-get").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(debian, "SECONDS", 0.3)
    assert refusal(BELL, tmp_path / "debian") == "bell 1.0-1 (all): apt-get took more than 0 s."
