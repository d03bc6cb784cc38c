import matplotlib
import matplotlib.pyplot as plt
import pytest

from gqa_lib import plots


@pytest.fixture(autouse=True)
def style():
    plt.switch_backend("Agg")
    with matplotlib.rc_context():
        plots.use_style()
        yield
    plt.close("all")
