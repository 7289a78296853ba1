# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to wishes: what each value means, and the sentence that each bad one gets."""

from __future__ import annotations

import signal

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec, _wishes
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError, quoted
from ansible_collections.harbormaster.ports.tests.vectors.vectors import bad_input

OPTIONS = ArgumentSpecValidator(_argspec.port_owner()["argument_spec"])
BAD_INPUT = bad_input("linux")


def params(**options):
    checked = OPTIONS.validate(options)
    assert checked.error_messages == []
    return checked.validated_parameters


def wishes(**options):
    return _wishes.wishes(params(**options))


def name_of(case):
    return "%s-%s" % (case["option"], quoted(case["wish"]))


@pytest.mark.parametrize("case", [case for case in BAD_INPUT if "by" not in case], ids=name_of)
def test_bad_value_is_one_clear_sentence(case):
    given = params(**case["wish"])
    with pytest.raises(OptionError) as caught:
        _wishes.policy(given)
        _wishes.wishes(given)
    message = caught.value.message
    assert caught.value.code == "bad_option"
    assert caught.value.option == case["option"]
    assert message.startswith(case["option"] + ": ")
    assert case["value"] in message
    assert case["says"] in message
    assert message.isprintable()


@pytest.mark.parametrize("option", ["port", "plan"])
def test_too_many_ports_are_found_before_they_fill_the_memory(monkeypatch, option):
    """A thousand ranges that fit one by one would be eight million wishes."""
    read = []
    parse = _wishes.parse_ports

    def counted(text, *more):
        read.append(text)
        return parse(text, *more)

    monkeypatch.setattr(_wishes, "parse_ports", counted)
    ranges = ["1-%d" % (4096 - number) for number in range(1000)]
    given = params(**{option: ranges if option == "port" else [{"port": one} for one in ranges]})
    with pytest.raises(OptionError, match="at most 4096 ports"):
        _wishes.wishes(given)
    assert len(read) < 10


@pytest.mark.parametrize("option", ["port", "plan"])
def test_what_is_asked_for_twice_counts_once(option):
    ranges = ["1-4000", "1-4000", "2-4096/tcp"]
    given = params(**{option: ranges if option == "port" else [{"port": one} for one in ranges]})
    assert len(_wishes.wishes(given)) == 4096 + 4000


def test_an_account_that_shares_its_number_is_known_by_that_too(monkeypatch):
    """A process of toor is shown as one of root."""
    import pwd

    root = pwd.getpwuid(0)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: root if name in ("toor", root.pw_name) else pwd.getpwall()[-1])
    (tcp, _udp) = _wishes.wishes(params(port=["80"], user=["toor"]))
    assert tcp.user == ("toor", "0")
    (tcp, _udp) = _wishes.wishes(params(port=["80"], user=[root.pw_name]))
    assert tcp.user == (root.pw_name,)


@pytest.mark.parametrize("option", ["port", "signal"])
def test_a_number_of_any_length_is_a_bad_value(option):
    """Newer Pythons refuse to read more than 4,300 digits as a number."""
    given = params(**{"port": ["80"], option: "9" * 5000})
    with pytest.raises(OptionError) as caught:
        _wishes.policy(given)
        _wishes.wishes(given)
    assert caught.value.option == option
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "first", "last", "protocol"),
    [
        ("80", 80, 80, None),
        ("1", 1, 1, None),
        ("65535", 65535, 65535, None),
        (" 80 ", 80, 80, None),
        ("080", 80, 80, None),
        ("80/tcp", 80, 80, "tcp"),
        ("80/UDP", 80, 80, "udp"),
        ("80 / tcp", 80, 80, "tcp"),
        ("8000-8010", 8000, 8010, None),
        ("8000-8000", 8000, 8000, None),
        ("8000-8010/udp", 8000, 8010, "udp"),
        ("https", 443, 443, None),
        ("domain/udp", 53, 53, "udp"),
        ("ssh/tcp", 22, 22, "tcp"),
    ],
)
def test_ports(text, first, last, protocol):
    assert _wishes.parse_ports(text) == ((first, last), protocol)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("192.0.2.10", "192.0.2.10"),
        (" 192.0.2.10 ", "192.0.2.10"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("2001:0DB8:0:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.10", "192.0.2.10"),
        ("::FFFF:c000:020a", "192.0.2.10"),
    ],
)
def test_addresses(text, plain):
    assert _wishes.plain_address(text) == plain


@pytest.mark.parametrize("text", ["127.0.0.1\0", "::1\0", "\ud800", "1" * 5000])
def test_text_that_no_yaml_gives_is_no_address_either(text):
    with pytest.raises(OptionError) as caught:
        _wishes.plain_address(text)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("TERM", "TERM"),
        ("sigterm", "TERM"),
        (" int ", "INT"),
        ("15", "TERM"),
        (9, "KILL"),
        ("34", "RTMIN"),
        ("35", "35"),
        ("64", "RTMAX"),
    ],
)
def test_signals(value, name):
    assert _wishes.signal_name(value) == name
    number = int(value) if str(value).strip().isdigit() else int(signal.Signals["SIG" + name])
    assert _wishes.signal_number(name) == number


def test_most_ports_that_fit():
    assert len(wishes(port=["1-4096"], protocol="tcp")) == 4096
    assert len(wishes(port=["1-4096"])) == 2 * 4096


def test_any_is_two_wishes_of_one_request():
    tcp, udp = wishes(port=["8080"])
    assert (tcp.protocol, udp.protocol) == ("tcp", "udp")
    assert (tcp.named, udp.named) == (False, False)
    assert tcp.request == udp.request


def test_each_element_is_a_request_of_its_own():
    first, second = wishes(port=["53/tcp", "53/udp"])
    assert first.request != second.request
    assert first.named and second.named


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (dict(port=["80/udp"], protocol="tcp"), [(80, "udp")]),
        (dict(port=["80"], protocol="udp"), [(80, "udp")]),
        (dict(port=["80", "81/udp"], protocol="tcp"), [(80, "tcp"), (81, "udp")]),
        (dict(ports=["81", "80"], protocol="tcp"), [(81, "tcp"), (80, "tcp")]),
        (dict(port=["80", "80"], protocol="tcp"), [(80, "tcp")]),
        (dict(port=["80-82", "81"], protocol="tcp"), [(80, "tcp"), (81, "tcp"), (82, "tcp")]),
        (dict(port="80,81/udp", protocol="tcp"), [(80, "tcp"), (81, "udp")]),
        (dict(port=80, protocol="tcp"), [(80, "tcp")]),
        (dict(plan=[{"port": 80}]), [(80, "tcp"), (80, "udp")]),
        (dict(plan=[{"port": 80, "protocol": "udp"}]), [(80, "udp")]),
        (dict(plan=[]), []),
    ],
)
def test_which_ports_are_wished(options, found):
    assert [(wish.port, wish.protocol) for wish in wishes(**options)] == found


def test_a_port_wished_twice_by_any_and_by_name_is_named():
    by_protocol = {wish.protocol: wish for wish in wishes(port=["80", "80/udp"])}
    assert by_protocol["udp"].named
    assert not by_protocol["tcp"].named


def test_the_same_port_with_other_filters_is_another_wish():
    plan = [{"port": "80/tcp", "address": "10.0.0.1"}, {"port": "80/tcp", "address": "10.0.0.2", "keep": ["nginx"]}]
    first, second = wishes(state="free", plan=plan)
    assert (first.address, first.keep) == ("10.0.0.1", None)
    assert (second.address, second.keep) == ("10.0.0.2", ("nginx",))


@pytest.mark.parametrize(
    ("state", "used", "unused"),
    [("present", {"owner"}, {"keep", "stop_only"}), ("free", {"keep", "stop_only"}, set())],
)
def test_options_of_the_other_state_mean_nothing(state, used, unused):
    options = {name: ["nginx"] for name in used | unused}
    wish = wishes(port=["80/tcp"], state=state, **options)[0]
    assert {name for name in ("owner", "keep", "stop_only") if getattr(wish, name)} == used


def test_an_unused_option_may_even_be_empty():
    assert len(wishes(port=["80/tcp"], state="present", keep=[], stop_only=[])) == 1


def test_an_empty_owner_is_nobody_in_a_plan():
    assert wishes(plan=[{"port": "23/tcp", "owner": []}])[0].owner == ()
    assert wishes(plan=[{"port": "23/tcp", "owner": []}], state="free")[0].owner is None


def test_defaults_of_the_policy():
    policy = _wishes.policy(params(port=["80"]))
    assert (policy.state, policy.method, policy.signal, policy.collateral) == ("present", "auto", "TERM", "warn")
    assert (policy.grace_period, policy.force, policy.settle) == (None, None, None)
    assert (policy.drain, policy.timeout, policy.close_blocking, policy.persist) == (0.0, 0.0, False, False)
    assert (policy.protect, policy.unprotect) == ((), ())


@pytest.mark.parametrize("option", ["grace_period", "drain", "settle", "timeout"])
@pytest.mark.parametrize(("value", "seconds"), [(0, 0.0), (0.5, 0.5), ("30", 30.0), (86400, 86400.0)])
def test_times(option, value, seconds):
    assert getattr(_wishes.policy(params(port=["80"], **{option: value})), option) == seconds


@pytest.mark.parametrize("option", ["owner", "keep", "stop_only", "user", "address"])
def test_a_filter_beside_a_plan_is_not_passed_over(option):
    """Who says ``keep: nginx`` beside a plan means nginx to stay: to forget it would stop nginx."""
    state = "present" if option == "owner" else "free"
    value = "192.0.2.10" if option == "address" else ["nginx"]
    try:
        wish = wishes(plan=[{"port": "80/tcp"}], state=state, **{option: value})[0]
    except OptionError as error:
        assert error.option == option
    else:
        assert getattr(wish, option) in (value, tuple(value))
