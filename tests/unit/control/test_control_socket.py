"""The control socket's place: for its owner only, and never over a living server's."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from siov.control.socket import ListeningSocket, default_path, make_directory
from siov.errors import SiovError


def test_only_its_owner_can_open_the_socket_and_the_umask_stays(path):
    before = os.umask(0o022)
    try:
        listening = ListeningSocket(path)
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    found = path.lstat()
    assert (stat.S_ISSOCK(found.st_mode), stat.S_IMODE(found.st_mode)) == (True, 0o600)
    listening.close()
    assert not path.exists()


def test_what_a_killed_server_left_does_not_stop_the_next(path):
    script = (
        "import os, pathlib, sys, siov.control.socket as control\n"
        "listening = control.ListeningSocket(pathlib.Path(sys.argv[1]))\n"
        "os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 9
    assert path.exists()
    ListeningSocket(path).close()
    assert not path.exists()


def test_a_living_server_s_socket_is_left_alone(path):
    first = ListeningSocket(path)
    with pytest.raises(SiovError, match="a server listens on"):
        ListeningSocket(path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
    first.close()


def test_what_is_no_socket_is_left_alone(path):
    path.write_text("mine")
    with pytest.raises(SiovError, match="is no socket"):
        ListeningSocket(path)
    assert path.read_text() == "mine"


def test_a_socket_that_somebody_put_in_its_place_is_not_removed(path):
    first = ListeningSocket(path)
    path.unlink()
    second = ListeningSocket(path)
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


def test_a_path_that_is_too_long_or_in_no_directory_is_refused_by_name(tmp_path):
    with pytest.raises(SiovError, match="longer than the 107 bytes"):
        ListeningSocket(tmp_path / ("x" * 108))
    with pytest.raises(SiovError, match="No such file"):
        ListeningSocket(tmp_path / "no" / "x")


def test_the_default_is_below_the_runtime_directory_or_below_tmp(monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert default_path() == Path("/run/user/7/siov/control.sock")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_path() == Path(f"/tmp/siov-{os.geteuid()}/control.sock")


def test_the_directory_is_for_its_owner_and_one_of_others_is_refused(tmp_path):
    make_directory(tmp_path / "siov")
    assert stat.S_IMODE((tmp_path / "siov").stat().st_mode) == 0o700
    make_directory(tmp_path / "siov")
    for mode in (0o720, 0o702):
        (tmp_path / "siov").chmod(mode)
        with pytest.raises(SiovError, match="only you can write"):
            make_directory(tmp_path / "siov")
    (tmp_path / "own").mkdir(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "own")
    with pytest.raises(SiovError, match="only you can write"):
        make_directory(tmp_path / "link")
    (tmp_path / "file").write_text("")
    with pytest.raises(SiovError, match="can't be made"):
        make_directory(tmp_path / "file")
