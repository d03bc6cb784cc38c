"""The tutor in JupyterLab's chat."""

import asyncio
import html
import json
from pathlib import Path

from jupyter_ai_persona_manager import BasePersona, PersonaDefaults
from jupyterlab_chat.models import Message, MimeModel, NewMessage

from gqa_lib.course.manifest import find_lesson

from .answer import ask
from .front import front_notebook
from .magic import lesson_of
from .passages import Section
from .reply import Reply
from .showing import markdown, name_of

_AS_A_LINK = (
    "background: none; border: none; padding: 0; font: inherit; text-align: left; "
    "cursor: pointer; color: var(--jp-content-link-color)"
)
_NONE_OPEN = "*No lesson is open, so I looked through all of them.*"


class Tutor(BasePersona):
    """Answers in the chat from the lessons, the open one first."""

    _before: Reply | None = None  # the last answer in this chat, which "why?" leans on

    @property
    def defaults(self) -> PersonaDefaults:
        """What the chat shows of the tutor."""
        return PersonaDefaults(
            name="Tutor",
            description="Answers questions with the course's own words.",
            avatar_path=str(Path(__file__).with_name("tutor.svg")),
            system_prompt="",
        )

    async def process_message(self, message: Message) -> None:
        """Answer one message."""
        question = " ".join(word for word in message.body.split() if not word.startswith("@"))
        if not question:
            return
        slug = lesson_of(await self._open_notebook(message))
        reply = await asyncio.to_thread(ask, question, slug, before=self._before)
        if reply.leads_on:
            self._before = reply
        opened = _NONE_OPEN
        if slug:
            lesson = find_lesson(slug)
            opened = f"*Open lesson: {lesson.number} · {lesson.title}.*"
        text = markdown(reply, button)
        if reply.kind != "talk":
            text = f"{text}\n\n{opened}"
        shown = MimeModel(data={"text/markdown": text}, trusted=True)  # else a button asks first
        self.chat.add_message(NewMessage(body=text, sender=self.id, mime_model=shown))

    async def _open_notebook(self, message: Message) -> str | None:
        """Return the path of the attached notebook, else of the one in front or that ran last."""
        for attachment in message.attachments or []:
            if path := self.resolve_attachment_to_path(attachment):
                return path
        if path := front_notebook():
            return path
        try:
            sessions = await self.parent.parent.serverapp.session_manager.list_sessions()
            running = [s for s in sessions if s.get("type") == "notebook" and s.get("kernel")]
            last = max(running, key=lambda s: str(s["kernel"].get("last_activity")), default=None)
        except Exception:  # a guess that fails costs the guess, not the answer
            self.log.warning("The tutor could not see which notebook is open.")
            return None
        return last["path"] if last else None


def button(section: Section) -> str:
    """Return a button that shows a section; a link in the chat would open another browser tab."""
    slug = section.lesson.slug
    target = {"path": f"{slug}/{slug}.ipynb", "id": f"#{section.fragment}"}
    return (
        '<button data-commandlinker-command="rendermime:handle-local-link" '
        f'data-commandlinker-args="{html.escape(json.dumps(target))}" style="{_AS_A_LINK}">'
        f"{html.escape(name_of(section))}</button>"
    )
