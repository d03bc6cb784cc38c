from .magic import load_ipython_extension as load_ipython_extension
