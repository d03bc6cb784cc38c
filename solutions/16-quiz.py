# %% [markdown] generated="card"

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports the two functions that show the quiz and say which questions are answered."
from gqa_lib.learn import check_quiz, show_quiz

# %% [markdown]
# ## How it works
#
# - 15 questions are **drawn** for you, evenly from the claims of the subject. Four options, one
#   right, one point; a wrong answer costs nothing. Paper and calculator are welcome.
# - Choose with the mouse, or with Tab and the arrow keys. Each choice is saved at once.
# - Save (Ctrl+S), then run `submit("16")` in a cell (after `from gqa_lib.learn import submit`), or
#   `gqa submit 16` in a terminal. The feedback page then explains every option and names its lesson.
#
# Learning alone, you are asked about the lessons that you have begun; in a class, about all. Run each
# cell with **Shift+Enter**.

# %% [markdown]
# ## Attempts
#
# If you learn alone, each graded submission is an **attempt**, and the next one draws different
# questions. In a class there is one attempt, unless your instructor opens another.
#
# Your answers are in `quiz_answers.json` next to this notebook. Marks are kept with every
# submission; `gqa map` shows the latest and the best.

# %% [markdown]
# If you learn alone, the answers are in the source tree: you are on your honour. Nothing depends on
# it but what you find out about yourself.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## What this does not tell you
#
# - A quiz sees what you can explain, not what you can build; the exercises have seen that.
# - 15 questions of a few dozen leave room for luck: two points either way mean nothing.

# %% [markdown]
# ## In three lines
#
# - GQA shares keys and values, so decoding has less to keep and less to read.
# - What that buys depends on model, hardware and traffic: predict it, then measure.
# - Only training tells what it costs in quality.

# %% [markdown] generated="ending"
