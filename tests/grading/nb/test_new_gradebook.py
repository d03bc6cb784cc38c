from nbgrader import api
from sqlalchemy import text

from grading.nb.new_gradebook import without_a_program


def test_a_gradebook_made_without_a_program_has_the_version_that_the_program_tells(
    tmp_path, monkeypatch
):
    told = api.sp.check_output(
        ["alembic", "-c", _settings_in(tmp_path), "heads"], text=True, stderr=api.sp.DEVNULL
    )
    monkeypatch.setattr(api.sp, "check_output", lambda *_, **__: 1 / 0)
    without_a_program()
    with api.Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as gradebook:
        version = gradebook.db.execute(text("SELECT version_num FROM alembic_version")).scalar()
    assert told.split()[0] == version


def _settings_in(folder):
    from nbgrader.dbutil import write_alembic_ini

    write_alembic_ini(str(folder / "alembic.ini"))
    return str(folder / "alembic.ini")
