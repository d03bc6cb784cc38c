"""The file of the tutor's chat, next to the lessons' folders."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

from gqa_lib.course.files import replace_file
from gqa_lib.course.places import work

TUTOR = "jupyter-ai-personas::gqa_lib::Tutor"  # what JupyterLab's chat calls the tutor
_WELCOME = (
    "Ask me about the lessons. I define terms, work out sizes (“KV cache of Llama-3-8B at 8k in "
    "fp8”), answer with the section where more stands, the open lesson first, and say so "
    "when the course does not cover something. I give no solutions and no quiz answers. I run on "
    "this machine; nothing is sent anywhere unless you set up a language model."
)


def put_chat() -> Path:
    """Make the chat's file where there is none; return its path.

    It is next to the lessons' folders, never in one: what is there is handed in.
    """
    path = work() / "tutor.chat"
    if not path.exists():
        message = {
            "type": "msg",
            "id": uuid.uuid4().hex,
            "time": datetime.now(UTC).timestamp(),
            "sender": TUTOR,
            "body": _WELCOME,
            "mentions": [],
        }
        tutor = {"username": TUTOR, "name": "Tutor", "display_name": "Tutor", "bot": True}
        chat = {"messages": [message], "users": {TUTOR: tutor}, "attachments": {}, "metadata": {}}
        replace_file(path, json.dumps(chat, indent=2))
    return path
