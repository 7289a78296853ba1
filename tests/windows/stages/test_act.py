# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The act stage on real processes and services; ``recorded`` in a name: Windows' part is played by a fake library."""

from __future__ import annotations

import threading
import time

import pytest

from windows.stages import stage
from windows.stages.tables import BOUND_AT, table, tcp4


@pytest.fixture
def bystander(start, more_ports):
    """Somebody else, on another port, who must live."""
    animal = start("listen", "tcp4", "127.0.0.1", next(more_ports, None))
    yield animal
    assert animal.alive()


def ask(told, port, **step):
    """Look at a port and carry out a step for all who hold it."""
    return told("Step", {"ports": ["tcp %d" % port], "commands": False, "step": step})


def outcome(said):
    assert len(said["outcomes"]) == 1, said
    return said["outcomes"][0]


# Processes ----------------------------------------------------------------------------------------------------------


def test_a_process_is_ended_at_once(real, start, bystander, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    said = ask(real, port, actuator="process", signal="TERMINATE", grace=30)
    done = outcome(said)
    assert (done["result"], done["acted"], done["killed"], done["error"]) == ("done", True, [], None)
    assert said["rows"] == [] and said["pids"] == [animal.pid]
    assert animal.wait_gone()
    assert done["seconds"] < 5


def test_a_window_is_asked_to_close(real, start, bystander, port):
    animal = start("listen", "tcp4", "127.0.0.1", port, "window")
    done = outcome(ask(real, port, actuator="process", signal="WM_CLOSE", kill=True, grace=20))
    assert (done["result"], done["acted"], done["killed"]) == ("done", True, [])
    assert animal.wait_gone()
    assert "WM_CLOSE" in animal.said()


def test_one_that_does_not_hear_is_ended_after_the_grace_period(real, start, bystander, port):
    animal = start("listen", "tcp4", "127.0.0.1", port, "deaf")
    done = outcome(ask(real, port, actuator="process", signal="WM_CLOSE", kill=True, grace=1))
    assert (done["result"], done["killed"]) == ("done", [animal.pid])
    assert "WM_CLOSE" in animal.said()
    assert animal.wait_gone()
    assert 1 <= done["seconds"] < 8


def test_one_that_does_not_hear_lives_where_it_may_not_be_ended(real, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port, "deaf")
    said = ask(real, port, actuator="process", signal="WM_CLOSE", kill=False, grace=0.5)
    done = outcome(said)
    assert (done["result"], done["acted"], done["error"]["code"]) == ("failed", True, "still_held")
    assert done["error"]["reason"] == "the holder still holds it 0.5 s after WM_CLOSE, and it is not killed"
    assert animal.alive() and len(said["rows"]) == 1


def test_without_a_window_nobody_is_waited_for(real, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    done = outcome(ask(real, port, actuator="process", signal="WM_CLOSE", kill=False, grace=30))
    assert (done["result"], done["acted"], done["error"]["code"]) == ("failed", False, "no_polite_way")
    assert done["seconds"] < 5
    assert animal.alive()


def test_without_a_window_it_is_ended_at_once_where_that_is_allowed(real, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    done = outcome(ask(real, port, actuator="process", signal="WM_CLOSE", kill=True, grace=30))
    assert (done["result"], done["killed"]) == ("done", [animal.pid])
    assert done["seconds"] < 5


def test_another_start_time_is_another_process(real, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    done = outcome(ask(real, port, actuator="process", signal="TERMINATE", kill=True, shift=1))
    assert (done["result"], done["acted"]) == ("gone", False)
    assert animal.alive()


def test_one_that_may_not_be_opened_is_not_touched(real, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port, "closed")
    done = outcome(ask(real, port, actuator="process", signal="TERMINATE", kill=True))
    assert (done["result"], done["acted"]) == ("gone", False)
    assert animal.alive()


def between(prefix, told, given, happens):
    """Carry out a step, and let something happen between the look and the act."""
    for name in ("ready", "go"):
        (prefix.drive_c / name).unlink(missing_ok=True)
    said = {}

    def run():
        said.update(told("Step", dict(given, ready="C:\\ready", wait_for="C:\\go")))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        stage.until((prefix.drive_c / "ready").exists)
        happens()
    finally:
        (prefix.drive_c / "go").write_text("")
        thread.join(60)
    return said


def test_a_holder_that_leaves_first_is_not_looked_for(real, prefix, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    given = {"ports": ["tcp %d" % port], "step": {"actuator": "process", "signal": "TERMINATE", "kill": True}}
    said = between(prefix, real, given, lambda: stage.end(animal))
    assert (outcome(said)["result"], outcome(said)["acted"]) == ("gone", False)


def test_a_new_holder_is_never_stopped(real, prefix, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    newcomers = []

    def replace():
        stage.end(animal)
        newcomers.append(start("listen", "tcp4", "127.0.0.1", port))

    given = {"ports": ["tcp %d" % port], "step": {"actuator": "process", "signal": "TERMINATE", "kill": True}}
    said = between(prefix, real, given, replace)
    assert (outcome(said)["result"], outcome(said)["acted"]) == ("gone", False)
    assert newcomers[0].alive() and said["rows"][0]["pid"] == newcomers[0].pid


def test_dropped_clients_are_counted(real, start, port):
    server = start("listen", "tcp4", "127.0.0.1", port, "accept")
    client = start("connect", "tcp4", "127.0.0.1", port)
    server.wait_for("accepted")
    done = outcome(ask(real, port, actuator="process", signal="TERMINATE", states=["LISTEN"]))
    assert (done["result"], done["dropped"]) == ("done", 1)
    assert client.alive(), "clients are never touched"


def test_drain_waits_for_clients_and_not_longer_than_it_may(real, start, port):
    server = start("listen", "tcp4", "127.0.0.1", port, "accept")
    given = {"ports": ["tcp %d" % port], "drain": 1.5, "step": {"actuator": "process", "states": ["LISTEN"]}}
    assert real("Drain", given)["waited"] is False
    start("connect", "tcp4", "127.0.0.1", port)
    server.wait_for("accepted")
    said = real("Drain", given)
    assert said["waited"] is True and 1.4 <= said["seconds"] < 4


def test_recorded_program_behind_http_sys_is_asked_through_its_queue(recorded, start, port, more_ports):
    # The row is PID 4's. Without a queue in the step, nobody of the step has it.
    look, files = recorded
    animal = start("idle")
    other = next(more_ports)
    files.write("tcp4.bin", table(tcp4(2, "127.0.0.1", port, pid=4), tcp4(2, "127.0.0.1", other, pid=animal.pid)))
    for queue, result in ((None, "gone"), ("shop", "done")):
        step = {"actuator": "process", "signal": "TERMINATE", "kill": True, "queue": queue, "root": animal.pid}
        step["only"] = port
        said = outcome(look("Step", {"ports": ["tcp %d" % port, "tcp %d" % other], "step": step}))
        assert said["result"] == result, said
    assert animal.wait_gone()


# Services -----------------------------------------------------------------------------------------------------------


def test_a_service_is_stopped_by_its_manager(real, services, bystander, port):
    name = "stop%d" % port
    services.install(name, "%s:%d" % (name, port))
    said = ask(real, port, actuator="service", signal="STOP", services=[name], grace=20)
    done = outcome(said)
    assert (done["result"], done["acted"], done["error"]) == ("done", True, None)
    assert said["rows"] == []
    assert services.state(name)[::2] == (1, 3)


def test_a_service_takes_its_time(real, services, port):
    name = "slow%d" % port
    services.install(name, "%s:%d:slow" % (name, port))
    done = outcome(ask(real, port, actuator="service", signal="STOP", services=[name], grace=20))
    assert done["result"] == "done" and done["seconds"] >= 2.5
    assert services.state(name)[0] == 1


def test_a_service_that_never_stops_is_not_ended(real, services, port):
    name = "stubborn%d" % port
    pid = services.install(name, "%s:%d:stubborn" % (name, port))
    done = outcome(ask(real, port, actuator="service", signal="STOP", services=[name], kill=True, grace=1))
    assert (done["result"], done["acted"], done["error"]["code"]) == ("failed", True, "still_held")
    assert "is still stopping 1 s after the stop request" in done["error"]["reason"]
    assert services.state(name)[:2] == (3, pid)


def test_a_service_that_takes_no_stop(real, services, port):
    name = "deaf%d" % port
    pid = services.install(name, "%s:%d:deaf" % (name, port))
    done = outcome(ask(real, port, actuator="service", signal="STOP", services=[name], persist=True, grace=5))
    assert (done["result"], done["acted"], done["error"]["code"]) == ("failed", False, "step_failed")
    assert "Windows error 1052" in done["error"]["reason"]
    assert services.state(name) == (4, pid, 3), "its start type is what it was"


def test_dependants_are_stopped_first(real, services, port):
    base, above = "base%d" % port, "above%d" % port
    services.install(base, "%s:%d" % (base, port))
    services.install(above, "%s:0:slow" % above)
    began = time.monotonic()
    done = outcome(ask(real, port, actuator="service", signal="STOP", services=[above, base], grace=20))
    assert done["result"] == "done" and time.monotonic() - began >= 2.5, "the slow one is waited for"
    assert [services.state(name)[0] for name in (base, above)] == [1, 1]


def test_what_was_stopped_before_a_failure_is_told(real, services, port):
    base, above = "kept%d" % port, "first%d" % port
    pid = services.install(base, "%s:%d:deaf" % (base, port))
    services.install(above, "%s:0" % above)
    done = outcome(ask(real, port, actuator="service", signal="STOP", services=[above, base], grace=20))
    assert done["result"] == "failed" and done["acted"] is True
    assert "(stopped before it: %s)" % above in done["error"]["reason"]
    assert services.state(base)[:2] == (4, pid)


def test_a_service_that_others_are_stopping_leaves_by_itself(real, prefix, services, port):
    name = "leaving%d" % port
    services.install(name, "%s:%d:slow" % (name, port))
    given = {"ports": ["tcp %d" % port], "step": {"actuator": "service", "signal": "STOP", "services": [name]}}
    said = between(prefix, real, given, lambda: prefix.call("wine", "sc", "stop", name))
    assert (outcome(said)["result"], outcome(said)["acted"]) == ("gone", False)
    assert said["rows"] == [], "it was waited for all the same"


def test_persist_disables_a_service(real, services, port):
    name = "persist%d" % port
    services.install(name, "%s:%d" % (name, port))
    assert (
        outcome(ask(real, port, actuator="service", signal="STOP", services=[name], persist=True))["result"] == "done"
    )
    assert services.state(name)[::2] == (1, 4)


def test_a_service_that_was_started_anew_is_another_one(real, prefix, services, port):
    name = "anew%d" % port
    services.install(name, "%s:%d" % (name, port))

    given = {"ports": ["tcp %d" % port], "step": {"actuator": "service", "signal": "STOP", "services": [name]}}
    done = outcome(between(prefix, real, given, lambda: services.restart(name)))
    assert (done["result"], done["acted"]) == ("gone", False)
    assert services.state(name)[0] == 4


def test_recorded_manager_that_refuses(recorded, services, port):
    name = "refused%d" % port
    services.install(name, "%s:%d" % (name, port))
    look, files = recorded
    files.write("refused", "")
    done = outcome(ask(look, port, actuator="service", signal="STOP", services=[name]))
    assert (done["result"], done["acted"], done["error"]["code"]) == ("failed", False, "not_permitted")
    assert services.state(name)[0] == 4


# Single connections -------------------------------------------------------------------------------------------------


def connection(port, pid, created=BOUND_AT):
    return table(tcp4(5, "192.0.2.1", port, "192.0.2.2", 50000, pid, created))


def test_recorded_connection_is_closed_by_its_two_ends(recorded, start, port):
    animal = start("idle")
    look, files = recorded
    files.write("tcp4.bin", connection(port, animal.pid))
    done = outcome(ask(look, port, actuator="tcp_entry"))
    assert (done["result"], done["acted"]) == ("done", True)
    written = (files.folder / "set.log").read_text().split()
    # MIB_TCPROW with MIB_TCP_STATE_DELETE_TCB.
    assert written == ["0c000000" + "c0000201" + "%04x0000" % port + "c0000202" + "c3500000"]
    assert animal.alive()


@pytest.mark.parametrize(
    ("code", "result", "error"), [(5, "failed", "not_permitted"), (87, "failed", "step_failed"), (317, "gone", None)]
)
def test_recorded_refusals_of_settcpentry(recorded, start, port, code, result, error):
    animal = start("idle")
    look, files = recorded
    files.write("tcp4.bin", connection(port, animal.pid))
    files.write("set.code", str(code))
    done = outcome(ask(look, port, actuator="tcp_entry"))
    assert (done["result"], done["acted"]) == (result, False)
    assert (done["error"] or {}).get("code") == error


def test_recorded_connection_that_is_another_one_by_now(recorded, prefix, start, port):
    animal = start("idle")
    look, files = recorded
    files.write("tcp4.bin", connection(port, animal.pid))
    given = {"ports": ["tcp %d" % port], "step": {"actuator": "tcp_entry"}}
    said = between(prefix, look, given, lambda: files.write("tcp4.bin", connection(port, animal.pid, BOUND_AT + 5)))
    assert (outcome(said)["result"], outcome(said)["acted"]) == ("gone", False)
    assert not (files.folder / "set.log").exists()
