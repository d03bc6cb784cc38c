# Installed into the environment's etc/jupyter, so every nbgrader command of that environment
# and JupyterLab's Assignment List and Validate read the course's one configuration.
from grading.settings import nbgrader_config

get_config().merge(nbgrader_config())  # noqa: F821  (traitlets puts get_config here)
