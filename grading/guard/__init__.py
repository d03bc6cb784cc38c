"""Between a browser and the course's JupyterLab: whose requests are answered, and how."""
