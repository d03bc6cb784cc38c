"""A log on a disk that is full."""

import io

from grading.nb.steps import file_log


class _FullDisk(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_full_disk_puts_no_traceback_of_the_log_into_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    log = file_log("full")
    (handler,) = log.handlers
    handler.setStream(_FullDisk())
    log.error("no space")
    assert capsys.readouterr().err == ""
