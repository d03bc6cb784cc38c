# %% [markdown] generated="card"

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
from gqa_lib.learn import check_quiz, show_quiz

# %% [markdown]
# ## How it works
#
# - 15 questions are **drawn** for you, from all claims of the subject alike. Four options, one right,
#   one point; a wrong answer costs nothing. Paper and calculator are welcome.
# - Choose with the mouse, or with Tab and the arrow keys. Each choice is saved at once.
# - Save (Ctrl+S) and run `gqa submit 16`. The feedback page then explains every option.
#
# Some questions are about lessons that are planned, not written yet; their explanations are the
# lesson in short. Run each cell with **Shift+Enter**.

# %% [markdown]
# ## Attempts
#
# Learning alone, each submission that was graded is an **attempt**, and the next one draws other
# questions. In a class there is one attempt, unless your instructor opens another.
#
# Your answers are in `quiz_answers.json` beside this notebook. Marks are kept with every submission;
# `gqa map` shows the latest and the best.

# %% [markdown]
# Learning alone you have the course's sources, and with them the answers: nobody checks that you do not
# look, and nothing depends on it but what you find out about yourself.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## What this does not tell you
#
# - A quiz sees what you can tell, not what you can build: that, the exercises have seen.
# - 15 of more than 60 questions leave luck in it. Two points more or less say nothing.

# %% [markdown]
# ## In three lines
#
# - GQA shares keys and values, so decoding has less to keep and less to read.
# - What that buys depends on model, hardware and traffic: predict it, then measure.
# - What it costs in quality, only training tells.

# %% [markdown] generated="ending"
