"""A call as data: checked against the platform's methods, carried out, printed as Python."""

import re

import pytest

from siov.control.calls import Call, CallError, methods, plain

from .fake import Mode


def test_what_can_be_called_is_what_the_protocols_list():
    assert set(methods()) == {
        "mdev.types", "mdev.create", "mdev.list", "mdev.show", "mdev.remove", "mdev.reset",
        "vfio_user.socket",
        "netdev.ethtool",
        "bridge.getlink", "bridge.setlink",
        "sysfs.lstat", "sysfs.listdir", "sysfs.readlink", "sysfs.read", "sysfs.write",
        "capture.start", "capture.stop", "capture.list", "tracer.start", "tracer.stop", "tracer.steps",
        "inspect",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "python"),
    [
        (Call("mdev.create", None, {"type": "ice-vdcm"}), 'platform.mdev.create("ice-vdcm")'),
        (
            Call("mdev.create", None, {"uuid": "u", "type": "t"}),
            'platform.mdev.create("t", uuid="u")',
        ),
        (Call("mdev.types", None, {"parent": "p"}), 'platform.mdev.types(parent="p")'),
        (Call("mdev.remove", None, {"uuid": "u", "force": True}), 'platform.mdev.remove("u", force=True)'),
        (
            Call("netdev.ethtool", "ens1f0", {"words": ["-g"]}),
            'platform.netdev("ens1f0").ethtool(["-g"])',
        ),
        (Call("bridge.setlink", "ens1f0", {"mode": 1}), 'platform.bridge("ens1f0").setlink(1)'),
        (Call("inspect"), "platform.inspect()"),
        (Call("inspect", None, {"path": 'a"b\\'}), 'platform.inspect("a\\"b\\\\")'),
        (Call("inspect", None, {"path": "a\nb"}), "platform.inspect('a\\nb')"),
    ],
)
def test_a_call_prints_the_python_that_does_the_same(call, python, platform):
    assert call.python == python
    assert plain(eval(python, {"platform": platform})) == call.run(platform)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "a call is an object"),
        ({}, "a call is an object"),
        ({"method": 5}, "a call is an object"),
        ({"method": "mdev.core"}, "there is no call 'mdev.core'"),
        ({"method": "mdev.__init__"}, "there is no call"),
        ({"method": "mdev.create.x"}, "there is no call"),
        ({"method": "__class__"}, "there is no call"),
        ({"method": ""}, "there is no call"),
        ({"method": "netdev.ethtool"}, 'needs "of"'),
        ({"method": "mdev.list", "of": "x"}, 'takes no "of"'),
        ({"method": "netdev.ethtool", "of": 5}, '"of" is a name'),
        ({"method": "netdev.ethtool", "of": "\ud800"}, '"of" is a name'),
        ({"method": "mdev.list", "args": []}, '"args" an object'),
        ({"method": "mdev.create", "args": {}}, "missing a required argument: 'type'"),
        ({"method": "mdev.list", "args": {"self": 1}}, "self"),
        ({"method": "mdev.list", "args": {"chef": "x"}}, "it takes parent"),
        ({"method": "mdev.create", "args": {"type": 5}}, "which is no str"),
        ({"method": "mdev.create", "args": {"type": "x\ud800"}}, "not all characters"),
        ({"method": "mdev.create", "args": {"type": "t", "uuid": []}}, "which is no str or null"),
        ({"method": "mdev.remove", "args": {"uuid": "u", "force": 1}}, "which is no bool"),
        ({"method": "bridge.setlink", "of": "x", "args": {"mode": True}}, "which is no int"),
        ({"method": "bridge.setlink", "of": "x", "args": {"mode": 1.5}}, "which is no int"),
        ({"method": "netdev.ethtool", "of": "x", "args": {"words": ["-i", 5]}}, "which is no list"),
        ({"method": "sysfs.write", "args": {"path": "/sys", "data": "\u20ac"}}, "no bytes"),
        ({"method": "tracer.start", "args": {"kinds": "ice"}}, "which is no list[str]"),
        ({"method": "tracer.start", "args": {"kinds": ["ice", 5]}}, "which is no list[str]"),
        ({"method": "tracer.start", "args": {"kinds": ["\ud800"]}}, "not all characters"),
    ],
)
def test_what_is_no_call_is_refused_with_what_is_wrong(data, says):
    with pytest.raises(CallError, match=re.escape(says)):
        Call.from_json(data)


def test_a_call_comes_back_from_the_wire_as_it_was():
    for call in (
        Call("mdev.create", None, {"type": "t", "uuid": None}),
        Call("netdev.ethtool", "ens1f0", {"words": ["-N", "flow-type", "tcp4", "dst-port", "80"]}),
        Call("sysfs.write", None, {"path": "/sys/x", "data": bytes(range(256)), "offset": 4}),
    ):
        assert Call.from_json(call.to_json()) == call


def test_a_part_that_a_server_lacks_is_said():
    with pytest.raises(CallError, match="this server has no netdev"):
        Call("netdev.ethtool", "ens1f0").run(object())


def test_results_become_json(platform):
    assert Call("inspect", None, {"path": "x"}).run(platform) == {
        "path": "x",
        "mode": "vepa",
        "bytes": "\x00\xff",
        "list": [1, None],
    }
    assert plain({Mode.VEB: {3}, 5: object}) == {"0": [3], "5": "<class 'object'>"}
