import io
import sys

from clipper_admin.managers.steps import step


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_step_is_a_log_line_away_from_a_terminal(logger, caplog, monkeypatch):
    caplog.set_level("INFO", logger="clipper_admin")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with step(logger, "Waiting"):
        assert caplog.messages == ["[test] Waiting"]


def test_a_step_is_a_spinner_on_a_terminal(logger, caplog, monkeypatch):
    caplog.set_level("INFO", logger="clipper_admin")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with step(logger, "Waiting"):
        pass
    assert "Waiting" in terminal.getvalue()
    assert caplog.messages == []
