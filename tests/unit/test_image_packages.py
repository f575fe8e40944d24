"""Debian packages without root: what is taken from apt's words, and how its failures are told."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from siov.errors import RigError
from siov.guests import packages
from siov.guests.packages import Apt, Package, find_mirror, parse_uris, run_tool, without_password


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with stand-ins for apt's tools, the only ones on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("apt-get", "apt-cache", "apt-config", "dpkg-deb"):
        tool(folder, name, "exit 0")
    keyring = tmp_path / "keyring.gpg"
    keyring.write_bytes(b"")
    monkeypatch.setattr(packages, "_KEYRINGS", (keyring,))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("SIOV_DEBIAN_MIRROR", raising=False)
    return folder


def package(file: str, content: bytes) -> Package:
    return Package(file, len(content), "SHA256", hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("targets", "mirror"),
    [
        ("http://a.example/debian-security/\nhttp://a.example/debian/\n", "http://a.example/debian"),
        ("mirror+file:///etc/apt/mirrors/debian.list\n", "mirror+file:///etc/apt/mirrors/debian.list"),
        ("https://b.example/mirrors/debian", "https://b.example/mirrors/debian"),
        ("http://a.example/ubuntu/\nhttp://a.example/debian-security/\n", ""),
        ("", ""),
    ],
)
def test_the_mirror_is_the_archive_proper_that_the_host_uses(targets: str, mirror: str) -> None:
    assert find_mirror(targets) == mirror


def test_a_mirrors_password_is_not_shown() -> None:
    assert without_password("https://me:secret@a.example/debian") == "https://a.example/debian"
    assert without_password("https://a.example/debian") == "https://a.example/debian"


def test_the_packages_are_those_that_apt_would_download() -> None:
    output = (
        "Reading package lists...\n"
        f"'http://a.example/pool/l/libz_1%3a1_amd64.deb' libz_1%3a1_amd64.deb 12 SHA256:{'0a' * 32}\n"
        "'http://a.example/x' no-digest.deb 12 \n"
    )
    assert parse_uris(output) == [Package("libz_1%3a1_amd64.deb", 12, "SHA256", "0a" * 32)]


def test_a_package_file_is_taken_only_with_its_size_and_digest(tmp_path: Path) -> None:
    wanted = package("a.deb", b"content")
    assert not wanted.is_in(tmp_path)
    for content, is_in in ((b"content", True), (b"cont", False), (b"CONTENT", False)):
        (tmp_path / "a.deb").write_bytes(content)
        assert wanted.is_in(tmp_path) is is_in


@pytest.mark.parametrize("missing", ["apt-get", "dpkg-deb"])
def test_a_missing_tool_is_named_with_what_to_do(tools: Path, tmp_path: Path, missing: str) -> None:
    (tools / missing).unlink()
    with pytest.raises(RigError, match=f"{missing} is not on this machine; .*SIOV_RIG"):
        Apt(tmp_path / "apt", "http://a.example/debian")


def test_a_missing_keyring_is_named_with_its_package(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_KEYRINGS", (tmp_path / "nosuch.gpg",))
    with pytest.raises(RigError, match=r"nosuch\.gpg.*debian-archive-keyring"):
        Apt(tmp_path / "apt", "http://a.example/debian")


@pytest.mark.usefixtures("tools")
def test_a_host_without_a_debian_mirror_is_told_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="set SIOV_DEBIAN_MIRROR"):
        Apt(tmp_path / "apt")


@pytest.mark.usefixtures("tools")
def test_the_environment_names_the_mirror_before_the_host_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIOV_DEBIAN_MIRROR", "http://chosen.example/debian/")
    assert Apt(tmp_path / "apt").mirror == "http://chosen.example/debian"
    sources = (tmp_path / "apt/sources.list").read_text().splitlines()
    assert len(sources) == 2
    assert all("http://chosen.example/debian trixie" in line and "signed-by=" in line for line in sources)


def test_the_hosts_proxy_is_used_but_not_its_leave_to_skip_signatures(tools: Path, tmp_path: Path) -> None:
    tool(
        tools,
        "apt-config",
        "echo 'Acquire::http::Proxy \"http://p.example\";'\n"
        "echo 'Acquire::AllowInsecureRepositories \"1\";'\n"
        "echo 'APT::Update::Post-Invoke:: \"rm -rf /\";'",
    )
    Apt(tmp_path / "apt", "http://a.example/debian")
    lines = (tmp_path / "apt/apt.conf").read_text().splitlines()
    assert 'Acquire::http::Proxy "http://p.example";' in lines
    insecure = [line for line in lines if "AllowInsecureRepositories" in line]
    assert insecure[-1] == 'Acquire::AllowInsecureRepositories "0";'
    assert not any("Post-Invoke" in line for line in lines)


def test_an_apt_that_fails_is_told_by_its_first_error(tools: Path, tmp_path: Path) -> None:
    tool(tools, "apt-get", "echo 'W: hm' >&2; echo 'E: Unable to locate package nosuch' >&2; exit 100")
    apt = Apt(tmp_path / "apt", "http://a.example/debian")
    with pytest.raises(RigError, match="apt-get ended with status 100: Unable to locate package nosuch"):
        apt.update()


def test_a_download_that_is_not_what_the_index_describes_is_refused(tools: Path, tmp_path: Path) -> None:
    tool(tools, "apt-cache", "echo 'Depends: linux-image-6.12-amd64 (= 6.12-1)'")
    apt = Apt(tmp_path / "apt", "http://a.example/debian")
    (apt.archives / "a.deb").write_bytes(b"of before, damaged")
    with pytest.raises(RigError, match=r"did not bring the a\.deb"):
        apt.download([package("a.deb", b"right"), package("kernel.deb", b"kernel")])
    assert not (apt.archives / "a.deb").exists()


def test_packages_that_are_there_are_not_downloaded_again(tools: Path, tmp_path: Path) -> None:
    tool(tools, "apt-get", "exit 1")
    apt = Apt(tmp_path / "apt", "http://a.example/debian")
    plan = [package("a.deb", b"right"), package("kernel.deb", b"kernel")]
    for name, content in (("a.deb", b"right"), ("kernel.deb", b"kernel"), ("old.deb", b"old")):
        (apt.archives / name).write_bytes(content)
    apt.download(plan)
    apt.keep_only(plan)
    assert sorted(path.name for path in apt.archives.glob("*.deb")) == ["a.deb", "kernel.deb"]


def test_a_tool_that_says_nothing_is_told_by_its_status() -> None:
    with pytest.raises(RigError, match="false ended with status 1: no message"):
        run_tool(["false"])
    assert isinstance(run_tool(["true"]), subprocess.CompletedProcess)
