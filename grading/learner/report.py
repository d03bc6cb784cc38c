"""What a learner reads once a submission is graded, and where the feedback is."""

from pathlib import Path
from urllib.parse import quote

from gqa_lib.course.manifest import Lesson
from gqa_lib.learn import progress

from .submit import Marks


def report(lesson: Lesson, marks: Marks) -> str:
    """Return the outcome of a submission as text for the terminal."""
    lines = [f"  note: {note}" for note in marks.notes]
    if not marks.scores:
        if marks.receipt:
            lines += [marks.receipt.text(), "(This receipt is kept: receipt.txt, `gqa progress`.)"]
        return "\n".join([*lines, "Submitted. Feedback comes from your instructor."])
    lines.append("")
    for cell, score, points in marks.scores:
        if cell in marks.waiting:
            lines.append(f"  ? {cell:<36} {points:g} points that a person gives")
            continue
        mark = "✓" if score == points else ("~" if score else "✗")
        lines.append(f"  {mark} {cell.removesuffix('-check'):<36} {score:g} of {points:g}")
    lines += ["", f"  {lesson.title}: {marks.score:g} of {marks.max_score:g} points"]
    if marks.waiting:
        lines.append("  where you learn alone, hold your text against the rubric above its cell")
    earlier = progress.scores_of(lesson.slug)[:-1]
    if earlier:
        best = max(earlier)
        lines.append(f"  submission {len(earlier) + 1}; best so far {max(best[0], marks.score):g}")
    if marks.feedback:
        lines.append(f"  feedback: {_address(marks.feedback)}")
        lines.append('  (also on the map, and under "What you earned" in the lesson)')
    return "\n".join(lines)


def _address(page: Path) -> str:
    """Return where a browser finds a page: JupyterLab's address while the desk is open."""
    from jupyter_server.serverapp import list_running_servers

    for server in list_running_servers():
        root = Path(server["root_dir"]).resolve()
        if page.is_relative_to(root):
            return f"{server['url']}files/{quote(page.relative_to(root).as_posix())}"
    return page.as_uri()
