import json
import os
import shlex
import signal
import stat
import subprocess
import sys

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervisor.options import UnhosedConfigParser, expand

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers import lifecycle
from clipper_admin.managers.folders import ClusterFolder
from clipper_admin.managers.supervisor import Program, Supervisor, program_config, quote, start_supervisor
from tests.clipper_admin.managers.polling import eventually

SLEEP = "import time; time.sleep(100)"
WRITABLE = st.text(st.characters(exclude_characters="\0\r", codec="utf-8"))


def read_command(config, program):
    """The command of a program as supervisord reads it."""
    parser = UnhosedConfigParser()
    parser.read_string(config)
    return shlex.split(expand(parser.get(f"program:{program}", "command"), {}, "command"))


@settings(max_examples=200)
@given(
    st.lists(WRITABLE, max_size=3), st.dictionaries(st.from_regex(r"[A-Z_]+", fullmatch=True), WRITABLE, max_size=2)
)
def test_commands_and_environments_are_read_back_unchanged(words, environment):
    program = Program("p", ("/bin/run", *words), environment)
    variables = [f"{name}={value}" for name, value in environment.items()]
    assert read_command(program_config(program), "p") == ["/usr/bin/env", *variables, "/bin/run", *words]


@pytest.mark.parametrize("word", ["a\0b", "a\rb"])
def test_what_cannot_be_written_is_refused(word):
    with pytest.raises(ClipperException, match="control character"):
        quote(word)


def test_a_program_gets_its_environment_and_a_log(folder, run):
    value = "an \"odd\" value: 100% # of\n  it; 's'"
    run("import os, json; print(json.dumps(os.environ['ODD'])); import time; time.sleep(100)", "odd", ODD=value)
    assert json.loads(eventually(lambda: folder.log("odd").exists() and folder.log("odd").read_text())) == value


def test_a_path_with_an_equals_sign_is_a_command_still(folder, supervisor, tmp_path):
    script = tmp_path / "x=1" / "script"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho ran $1 $A\nexec sleep 100\n")
    script.chmod(0o700)
    lifecycle.write_program(folder, Program("equals", (str(script), "b"), {"A": "a"}))
    supervisor.add(["equals"])
    assert eventually(lambda: folder.log("equals").exists() and folder.log("equals").read_text()) == "ran b a\n"


def test_programs_appear_run_and_go(supervisor, run):
    assert supervisor.processes() == {}
    run(SLEEP, "one", "two")
    assert list(supervisor.processes()) == ["one", "two"]
    pids = eventually(lambda: [p.pid for p in supervisor.processes().values() if p.pid] or None)
    assert eventually(lambda: all(p.state == "RUNNING" for p in supervisor.processes().values()))
    supervisor.remove(["one"])
    assert list(supervisor.processes()) == ["two"]
    assert not psutil.pid_exists(pids[0])
    assert supervisor.processes()["two"].pid == pids[1]


def test_adding_again_leaves_a_program_alone(supervisor, run):
    run(SLEEP, "one")
    pid = eventually(lambda: supervisor.processes()["one"].pid)
    run(SLEEP, "one", "two")
    assert supervisor.processes()["one"].pid == pid


def test_a_killed_program_comes_back(supervisor, run):
    run(SLEEP, "one")
    eventually(lambda: supervisor.processes()["one"].state == "RUNNING")
    pid = supervisor.processes()["one"].pid
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: supervisor.processes()["one"].pid not in (0, pid))


def test_removing_kills_what_ignores_sigterm(supervisor, folder, run):
    run(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(100)",
        "deaf",
    )
    eventually(lambda: folder.log("deaf").exists() and folder.log("deaf").read_text())
    supervisor.remove(["deaf"], kill=True)
    assert supervisor.processes() == {}


def test_removing_a_program_that_keeps_ending(supervisor, run):
    run("raise SystemExit(3)", "ender")
    eventually(lambda: supervisor.processes()["ender"].ended)
    supervisor.remove(["ender", "never-there"])
    assert supervisor.processes() == {}


def test_sigterm_lets_a_program_finish(supervisor, folder, run):
    run(
        "import signal, sys, time\n"
        "signal.signal(15, lambda *_: (print('drained'), sys.exit(0)))\n"
        "print('up'); time.sleep(100)",
        "polite",
    )
    eventually(lambda: folder.log("polite").exists() and "up" in folder.log("polite").read_text())
    supervisor.remove(["polite"])
    assert "drained" in folder.log("polite").read_text()


def test_everything_on_disk_is_private(folder, supervisor, run, cluster):
    run("print('x', flush=True); import time; time.sleep(100)", "one")
    eventually(lambda: folder.log("one").exists())
    for path in [folder.path, *folder.path.rglob("*"), *ClusterFolder.sockets(folder).iterdir()]:
        assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path


def test_supervisord_is_in_a_session_of_its_own(supervisor):
    pid = supervisor.pid()
    assert os.getsid(pid) != os.getsid(0)
    assert psutil.Process(pid).terminal() is None


def test_a_bad_configuration_is_told_in_supervisords_words(folder):
    folder.supervisor_config.write_text("[supervisord]\nloglevel=loud\n")
    with pytest.raises(ClipperException, match=r"did not start with .*loud"):
        start_supervisor(folder.path, folder.supervisor_config)


def test_nobody_at_the_socket(tmp_path):
    nobody = Supervisor(tmp_path / "no.sock")
    assert not nobody.running()
    with pytest.raises(ClipperException, match=r"does not answer on .*no.sock"):
        nobody.processes()


def test_a_clusters_end_leaves_no_process(folder, supervisor, run):
    deaf = "import signal, subprocess, sys\nsignal.signal(15, signal.SIG_IGN)\n"
    run(deaf + f"subprocess.run([sys.executable, '-c', {SLEEP!r}])", "parent")
    pid = eventually(lambda: supervisor.processes()["parent"].pid)
    (child,) = eventually(lambda: psutil.Process(pid).children())
    os.kill(supervisor.pid(), signal.SIGKILL)
    lifecycle.stop_processes(folder, graceful=False)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_supervisord_runs_without_the_session_that_started_it(folder, cluster):
    control = lifecycle.control_socket(cluster.sockets)
    code = (
        "import sys; from pathlib import Path\n"
        "from clipper_admin.managers.supervisor import supervisor_config, start_supervisor\n"
        "folder, control = map(Path, sys.argv[1:])\n"
        "config = folder / 'supervisord.conf'\n"
        "config.write_text(supervisor_config(control, folder / 'programs'))\n"
        "start_supervisor(folder, config)\n"
    )
    subprocess.run([sys.executable, "-c", code, folder.path, control], check=True, timeout=60)
    assert Supervisor(control).running()


def test_logs_are_rotated(supervisor, folder, run):
    run("import sys, time\nfor _ in range(11): sys.stdout.write('x' * 1_000_000)\ntime.sleep(100)", "talker")
    eventually(lambda: (folder.logs / "talker.log.1").exists())
    eventually(lambda: sum(each.stat().st_size for each in folder.logs.glob("talker.log*")) == 11_000_000)
    assert max(each.stat().st_size for each in folder.logs.glob("talker.log*")) < 11_000_000
