"""Answers to the exercises of lesson 15, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong measured_rows: modelled rows count
# says: modelled rows count as measured
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: refuses modelled rows alone
# says: only "modelled" is refused
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] == "modelled":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: any machine
# says: runs of other machines count
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: part of the machine's name
# says: part of a name is enough
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if hardware not in row["hardware"]:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: the name in any case
# says: without upper and lower case
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"].casefold() != hardware.casefold():
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: stopped runs count
# says: did not finish count
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: finished is anything true
# says: counts as finished
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if not row["finished"]:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: metrics not looked at
# says: metrics are not looked at
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: NaN passes a comparison
# says: NaN passes
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return not (value <= 0 or value == math.inf)

# %% wrong measured_rows: infinity passes
# says: infinity passes
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return value > 0

# %% wrong measured_rows: zeros pass
# says: zeros pass
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value >= 0

# %% wrong measured_rows: negative numbers pass
# says: values below 0 pass
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value != 0

# %% wrong measured_rows: true is a number
# says: true passes as a number
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: lines from 0
# says: lines are counted from 0
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n")):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: blank lines not counted
# says: left out of the count
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(filter(str.strip, text.split("\n")), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: blank lines are broken
# says: refused as broken
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: the last reason
# says: the last is given
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    reason = None
    if row["label"] != "measured":
        reason = "not measured"
    if row["hardware"] != hardware:
        reason = "other hardware"
    if row["finished"] is not True:
        reason = "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        reason = "no number"
    return reason

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: stops at a broken line
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except ZeroDivisionError:
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: texts are turned into numbers
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool):
        return False
    try:
        value = float(value)
    except (TypeError, ValueError):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: one good number is enough
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not any(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: empty metrics are good
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict):
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: an array is a row without a label
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: rows without a label are measured
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row.get("label", "measured") != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: refused lines in a list
# says: Give a dictionary
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows, list(refused.items())

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: rows as texts
# says: Give a list of the rows
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(line)
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: only the rows
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = reason
    return rows

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: one reason for all
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line))
        else:
            refused[number] = "refused"
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong measured_rows: metrics only
import json, math

def measured_rows(text, hardware):
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        reason = why_not(line, hardware)
        if reason is None:
            rows.append(json.loads(line)["metrics"])
        else:
            refused[number] = reason
    return rows, refused

def why_not(line, hardware):
    try:
        row = json.loads(line)
    except (ValueError, TypeError):
        return "broken"
    if not isinstance(row, dict) or not {"label", "hardware", "finished", "metrics"} <= row.keys():
        return "broken"
    if not isinstance(row["metrics"], dict) or not row["metrics"]:
        return "broken"
    if row["label"] != "measured":
        return "not measured"
    if row["hardware"] != hardware:
        return "other hardware"
    if row["finished"] is not True:
        return "unfinished"
    if not all(good(value) for value in row["metrics"].values()):
        return "no number"
    return None

def good(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0

# %% wrong paired_change: in the order in which they stand
# says: in the order in which they stand
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    logs = [math.log(b / a) for a, b in zip(baseline.values(), variant.values())]
    n = len(logs)
    if n < 2:
        return None
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: sorted by value
# says: sorted by their values
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    sides = (sorted(side[seed] for seed in seeds) for side in (baseline, variant))
    logs = [math.log(b / a) for a, b in zip(*sides)]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: two separate samples
# says: the pairs are taken apart
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    a, b = ([math.log(side[seed]) for seed in seeds] for side in (baseline, variant))
    n = len(seeds)
    half = float(t.ppf((1 + confidence) / 2, 2 * n - 2)) * math.sqrt((stdev(a) ** 2 + stdev(b) ** 2) / n)
    center = mean(b) - mean(a)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: baseline over variant
# says: the baseline is divided by the variant
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(baseline[seed] / variant[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: mean of ratios
# says: ratios are averaged
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [variant[seed] / baseline[seed] - 1 for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return center, center - half, center + half

# %% wrong paired_change: differences over the mean
# says: differences over the mean of the baseline
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    level = mean(baseline[seed] for seed in seeds)
    logs = [(variant[seed] - baseline[seed]) / level for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return center, center - half, center + half

# %% wrong paired_change: logarithms returned
# says: these are logarithms still
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return center, center - half, center + half

# %% wrong paired_change: ratios returned
# says: these are ratios
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.exp(center), math.exp(center - half), math.exp(center + half)

# %% wrong paired_change: half added afterwards
# says: after the logarithm is turned back
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center) - half, math.expm1(center) + half

# %% wrong paired_change: base 10
# says: logarithms of base 10
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log10(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: normal quantile
# says: the normal distribution is used
import math
from statistics import mean, stdev
from scipy.stats import norm

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(norm.ppf((1 + confidence) / 2)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: one side
# says: a quantile of one side
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf(confidence, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: n degrees of freedom
# says: n degrees of freedom instead
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: always 95 %
# says: the confidence is not used
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf(0.975, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: population deviation
# says: divides by n
import math
from statistics import mean, pstdev as stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: scatter of one
# says: the scatter of one ratio
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: divides by n
# says: the scatter is divided by n
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / n
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: median
# says: the median is taken
import math
from statistics import median as mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: ends exchanged
# says: the ends are exchanged
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center + half), math.expm1(center - half)

# %% wrong paired_change: percent
# says: these are percent
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return 100 * math.expm1(center), 100 * math.expm1(center - half), 100 * math.expm1(center + half)

# %% wrong paired_change: one pair has an interval of no width
# says: one pair has an interval of no width
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if not seeds:
        return None
    if len(seeds) == 1:
        return (variant[seeds[0]] / baseline[seeds[0]] - 1,) * 3
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: ratio of means
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(set(baseline) & set(variant))
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = math.log(mean(variant[s] for s in seeds) / mean(baseline[s] for s in seeds))
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: seeds of both are needed
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(baseline)
    if len(seeds) < 2:
        return None
    logs = [math.log(variant[seed] / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong paired_change: missing runs repeat the baseline
import math
from statistics import mean, stdev
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    seeds = sorted(baseline)
    if len(seeds) < 2:
        return None
    logs = [math.log(variant.get(seed, baseline[seed]) / baseline[seed]) for seed in seeds]
    n = len(logs)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)

# %% wrong cost_at_objective: peak throughput
# says: the fastest run is taken
def cost_at_objective(rows, price_per_hour, objective):
    speeds = [row["metrics"]["output_throughput"] for row in rows if row["label"] == "measured"]
    return price_per_hour / 3600 / max(speeds) * 1e6 if speeds else None

# %% wrong cost_at_objective: most tokens/s of those that keep it
# says: most tokens/s is taken
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    def speed(rate):
        runs = by_rate[rate]
        return sum(run["output_throughput"] for run in runs) / len(runs)

    speeds = [run["output_throughput"] for run in by_rate[max(kept, key=speed)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: lowest rate
# says: the lowest rate is taken
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[min(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: modelled rows
# says: modelled rows count
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: no latency asked for
# says: the latencies are not asked for
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items()]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: below the limit only
# says: exactly at its limit is refused
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) < most for name, most in objective.items())

# %% wrong cost_at_objective: one run is enough
# says: one run that keeps them is enough
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if any(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: drops the runs that fail
# says: runs that exceed a latency are left out
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured" and keeps(row["metrics"], objective):
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: one latency is enough
# says: one latency kept is enough
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return any(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: missing percentiles count as kept
# says: a percentile that is not in the row counts
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", 0) <= most for name, most in objective.items())

# %% wrong cost_at_objective: means instead of percentiles
# says: means are compared
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"mean_{name}_ms", run.get(f"p99_{name}_ms", math.inf)) <= most for name, most in objective.items())

# %% wrong cost_at_objective: an hour of one second
# says: the hour is not turned into seconds
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: one token
# says: the cost of one token
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds))

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: a thousand tokens
# says: a thousand tokens
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e3

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: mean of costs
# says: costs are averaged
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return sum(price_per_hour / 3600 / one * 1e6 for one in speeds) / len(speeds)

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: tokens/s added up
# says: are added up
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / sum(speeds) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: best repeat
# says: the best of the repeated runs
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / max(speeds) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: 0 for none
# says: there is a cost of 0
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return 0.0
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: infinity for none
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return math.inf
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: stops where the first fails
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = []
    for rate in sorted(by_rate):
        if not all(keeps(run, objective) for run in by_rate[rate]):
            break
        kept.append(rate)
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: NaN passes a missing percentile
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(not run.get(f"p99_{name}_ms", math.nan) > most for name, most in objective.items())

# %% wrong cost_at_objective: seconds for milliseconds
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= 1000 * most for name, most in objective.items())

# %% wrong cost_at_objective: first token only
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items() if name == "ttft")

# %% wrong cost_at_objective: the request rate for tokens/s
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["request_rate"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: the last repeat
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return price_per_hour / 3600 / speeds[-1] * 1e6

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: rounds to cents
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return round(price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6, 2)

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong cost_at_objective: a text with the cost
# says: Give one number
import math

def cost_at_objective(rows, price_per_hour, objective):
    by_rate = {}
    for row in rows:
        if row["label"] == "measured":
            by_rate.setdefault(row["metrics"]["request_rate"], []).append(row["metrics"])
    kept = [rate for rate, runs in by_rate.items() if all(keeps(run, objective) for run in runs)]
    if not kept:
        return None
    speeds = [run["output_throughput"] for run in by_rate[max(kept)]]
    return f"{price_per_hour / 3600 / (sum(speeds) / len(speeds)) * 1e6}"

def keeps(run, objective):
    return all(run.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())

# %% wrong decide: not measured is no loss
# says: counts as no loss
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is None or loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: speed alone
# says: the quality is left out
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small:
        return "do not adopt"
    if enough:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: a possible loss is a loss
# says: a loss that may be above its margin
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[1] >= loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: a possible failure is one
# says: a benefit that may be too small
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[0] <= benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: against 0
# says: the margins are not used
def decide(benefit, benefit_margin, loss, loss_margin):
    benefit_margin = loss_margin = 0
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: benefit against 0
# says: the margin of the benefit is not used
def decide(benefit, benefit_margin, loss, loss_margin):
    benefit_margin = 0
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: loss against 0
# says: the margin of the loss is not used
def decide(benefit, benefit_margin, loss, loss_margin):
    loss_margin = 0
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: middles
# says: the middle of each interval
def decide(benefit, benefit_margin, loss, loss_margin):
    benefit, loss = (one and ((one[0] + one[1]) / 2,) * 2 for one in (benefit, loss))
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: touching decides
# says: an interval whose end is exactly the margin
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] <= benefit_margin
    enough = benefit is not None and benefit[0] >= benefit_margin
    too_much = loss is not None and loss[0] >= loss_margin
    harmless = loss is not None and loss[1] <= loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: all must be known
# says: one measurement that is missing or open
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if not (too_small or enough) or not (too_much or harmless):
        return "cannot be said yet"
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: what is not sure is refused
# says: what is not sure is refused
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "do not adopt"

# %% wrong decide: the best case
# says: the other end of the benefit
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[1] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: loss is good
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[1] < loss_margin
    harmless = loss is not None and loss[0] > loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: other words
# says: There are three answers
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "keep"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: true or false
# says: There are three answers
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return False
    if enough and harmless:
        return True
    return None

# %% wrong decide: both must fail
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small and too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: benefit not measured is enough
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is None or benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: nothing measured is a refusal
def decide(benefit, benefit_margin, loss, loss_margin):
    too_small = benefit is None or benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: margins exchanged
def decide(benefit, benefit_margin, loss, loss_margin):
    benefit_margin, loss_margin = loss_margin, benefit_margin
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% wrong decide: size of the loss
def decide(benefit, benefit_margin, loss, loss_margin):
    loss = loss and tuple(sorted(map(abs, loss)))
    too_small = benefit is not None and benefit[1] < benefit_margin
    enough = benefit is not None and benefit[0] > benefit_margin
    too_much = loss is not None and loss[0] > loss_margin
    harmless = loss is not None and loss[1] < loss_margin
    if too_small or too_much:
        return "do not adopt"
    if enough and harmless:
        return "adopt"
    return "cannot be said yet"

# %% right measured_rows: a table of reasons
import json
from math import inf

def measured_rows(text, hardware):
    def number(value):
        return type(value) in (int, float) and 0 < value < inf

    reasons = {
        "not measured": lambda row: row["label"] != "measured",
        "other hardware": lambda row: row["hardware"] != hardware,
        "unfinished": lambda row: row["finished"] is not True,
        "no number": lambda row: not all(map(number, row["metrics"].values())),
    }
    rows, refused = [], {}
    for place, line in enumerate(text.split("\n")):
        if line.isspace() or line == "":
            continue
        try:
            row = json.loads(line)
            assert isinstance(row, dict) and isinstance(row["metrics"], dict) and row["metrics"]
            assert "label" in row and "hardware" in row and "finished" in row
        except Exception:
            refused[place + 1] = "broken"
            continue
        reason = next((name for name, test in reasons.items() if test(row)), None)
        if reason:
            refused[place + 1] = reason
        else:
            rows.append(row)
    return rows, refused

# %% right measured_rows: first all rows, then what is refused
import json

import numpy as np

def measured_rows(text, hardware):
    found = {n: line for n, line in enumerate(text.split("\n"), 1) if line.strip()}
    reasons = {n: reason(line, hardware) for n, line in found.items()}
    good = [json.loads(found[n]) for n, why in reasons.items() if why == ""]
    return [good, {n: why for n, why in reasons.items() if why}]

def reason(line, hardware):
    try:
        row = json.loads(line)
        label, machine, finished, metrics = (row[k] for k in ("label", "hardware", "finished", "metrics"))
        values = [*metrics.values()]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "broken"
    if len(values) == 0:
        return "broken"
    if label != "measured":
        return "not measured"
    if machine != hardware:
        return "other hardware"
    if finished is not True:
        return "unfinished"
    for value in values:
        if value is None or isinstance(value, (bool, str, list, dict)):
            return "no number"
        if not np.isfinite(value) or value <= 0:
            return "no number"
    return ""

# %% right paired_change: NumPy
import numpy as np
from scipy import stats

def paired_change(baseline, variant, confidence):
    seeds = [seed for seed in variant if seed in baseline]
    if len(seeds) <= 1:
        return None
    logs = np.log([variant[s] for s in seeds]) - np.log([baseline[s] for s in seeds])
    low, high = stats.t.interval(confidence, len(logs) - 1, logs.mean(), stats.sem(logs))
    return np.exp(logs.mean()) - 1, np.exp(low) - 1, np.exp(high) - 1

# %% right paired_change: torch in float64
import torch
from scipy.stats import t

def paired_change(baseline, variant, confidence):
    both = torch.tensor([(baseline[s], variant[s]) for s in baseline.keys() & variant.keys()])
    if len(both) < 2:
        return None
    logs = both.double().log().diff(dim=1).flatten()
    half = t.isf((1 - confidence) / 2, len(logs) - 1) * logs.std() / len(logs) ** 0.5
    return [torch.expm1(logs.mean() + side * half).item() for side in (0, -1, 1)]

# %% right cost_at_objective: from the highest rate down
from statistics import fmean

def cost_at_objective(rows, price_per_hour, objective):
    measured = [row["metrics"] for row in rows if row["label"] == "measured"]
    for rate in sorted({one["request_rate"] for one in measured}, reverse=True):
        runs = [one for one in measured if one["request_rate"] == rate]
        limits = [(f"p99_{name}_ms", most) for name, most in objective.items()]
        if all(key in run and run[key] <= most for run in runs for key, most in limits):
            return price_per_hour * 1e6 / (3600 * fmean(run["output_throughput"] for run in runs))
    return None

# %% right cost_at_objective: the slowest run of each rate
import numpy as np

def cost_at_objective(rows, price_per_hour, objective):
    slowest, speeds = {}, {}
    for row in rows:
        if row["label"] != "measured":
            continue
        one = row["metrics"]
        worst = max([one.get(f"p99_{name}_ms", np.inf) / most for name, most in objective.items()])
        slowest[one["request_rate"]] = max(worst, slowest.get(one["request_rate"], 0))
        speeds.setdefault(one["request_rate"], []).append(one["output_throughput"])
    kept = sorted(rate for rate, worst in slowest.items() if worst <= 1)
    if kept:
        return price_per_hour / np.mean(speeds[kept[-1]]) / 0.0036

# %% right decide: infinite intervals
from math import inf

def decide(benefit, benefit_margin, loss, loss_margin):
    if benefit is None:
        benefit = (-inf, inf)
    if loss is None:
        loss = (-inf, inf)
    good, harm = side(benefit, benefit_margin), side(loss, loss_margin)
    if good < 0 or harm > 0:
        return "do not adopt"
    return "adopt" if good > 0 and harm < 0 else "cannot be said yet"

def side(interval, margin):
    return (interval[0] > margin) - (interval[1] < margin)

# %% right decide: named verdicts
def decide(benefit, benefit_margin, loss, loss_margin):
    def verdict(interval, margin):
        if interval is None or interval[0] <= margin <= interval[1]:
            return "open"
        return "above" if interval[0] > margin else "below"

    match verdict(benefit, benefit_margin), verdict(loss, loss_margin):
        case ("below", _) | (_, "above"):
            return "do not adopt"
        case ("above", "below"):
            return "adopt"
    return "cannot be said yet"
